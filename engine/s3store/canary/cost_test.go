package canary_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestCost bounds what a canary sends for a job: every process of a job begins with one
// on any store but AWS. The first has more to ask than those that go on.
func TestCost(t *testing.T) {
	off, on := object.VersioningOff, object.VersioningEnabled
	for _, tc := range []struct {
		say     string
		profile s3test.Profile
		sse     object.SSE
		facts   object.BucketFacts
		o       s3store.ProbeOptions
		again   bool // by what the first process found
		most    int
	}{
		{"AES256", s3test.AWS(), object.SSES3, object.BucketFacts{Versioning: off}, s3store.ProbeOptions{}, false, 40},
		{"KMS", s3test.AWS(), object.SSEKMS, object.BucketFacts{Versioning: off}, s3store.ProbeOptions{}, false, 43},
		{"KMS, again", s3test.AWS(), object.SSEKMS, object.BucketFacts{Versioning: off}, s3store.ProbeOptions{}, true, 40},
		{"KMS, versions", s3test.AWS(), object.SSEKMS, object.BucketFacts{Versioning: on, ObjectLock: object.No, ACLsDisabled: object.Yes}, s3store.ProbeOptions{}, false, 43}, // one for whether they are
		{"updates only", s3test.AWS(), object.SSEKMS, object.BucketFacts{Versioning: off, ACLsDisabled: object.Yes}, s3store.ProbeOptions{Only: object.OpUpdate}, false, 15},
		{"rewrites only", s3test.AWS(), object.SSEKMS, object.BucketFacts{Versioning: off, ACLsDisabled: object.Yes}, s3store.ProbeOptions{Only: object.OpRewrite}, false, 15},
		{"elsewhere", s3test.AWS(), object.SSEKMS, object.BucketFacts{Versioning: off, ACLsDisabled: object.Yes}, s3store.ProbeOptions{Dest: true}, false, 43},
		{"AES256", s3test.MinIO(), object.SSES3, object.BucketFacts{Versioning: off}, s3store.ProbeOptions{}, false, 40},
		{"KMS", s3test.MinIO(), object.SSEKMS, object.BucketFacts{Versioning: off, Website: object.No}, s3store.ProbeOptions{}, false, 44},
		{"KMS, versions", s3test.MinIO(), object.SSEKMS, object.BucketFacts{Versioning: on, ObjectLock: object.No}, s3store.ProbeOptions{}, false, 45},
		{"KMS, again", s3test.MinIO(), object.SSEKMS, object.BucketFacts{Versioning: off}, s3store.ProbeOptions{}, true, 40},
		{"KMS, versions, again", s3test.MinIO(), object.SSEKMS, object.BucketFacts{Versioning: on, ObjectLock: object.No}, s3store.ProbeOptions{}, true, 40},
		{"encrypts nothing", s3test.Versitygw(), object.SSES3, object.BucketFacts{Versioning: off}, s3store.ProbeOptions{}, false, 5},
	} {
		t.Run(tc.profile.Name+"/"+tc.say, func(t *testing.T) {
			srv := s3test.New(s3test.Config{Profile: tc.profile})
			defer srv.Close()
			cfg := s3test.BucketConfig{}
			if tc.facts.Versioning == on {
				cfg.Versioning = "Enabled"
			}
			srv.CreateBucket("b", cfg)
			s := openFake(t, srv, s3store.Options{})
			tc.o.Bucket, tc.o.Facts, tc.o.Target = "b", tc.facts, object.Target{SSE: tc.sse}
			if tc.sse.KMS() {
				tc.o.Target.KMSKeyID = keyOn(srv, &tc.profile)
			}
			caps, err := s.Probe(t.Context(), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			first := len(srv.Requests())
			if tc.again {
				tc.o.Known = &caps
				again, err := s.Probe(t.Context(), tc.o)
				if err != nil {
					t.Fatal(err)
				}
				again.Notes, caps.Notes = nil, nil
				if fmt.Sprint(again) != fmt.Sprint(caps) {
					t.Errorf("found  %+v\nbefore %+v", again, caps)
				}
			}
			requests := srv.Requests()
			if tc.again {
				requests = requests[first:]
			}
			if len(requests) > tc.most {
				var each []string
				for _, r := range requests {
					each = append(each, r.Op+" "+r.Key[max(len(r.Key)-24, 0):])
				}
				t.Errorf("%d requests, want at most %d\n%s", len(requests), tc.most, strings.Join(each, "\n"))
			}
			t.Logf("%d requests", len(requests))
		})
	}
}

// keyOn makes a key and names it as the store wants it named.
func keyOn(srv *s3test.Server, p *s3test.Profile) string {
	arn := srv.KMS.CreateKey()
	if p.KeyMinIO || p.KeyAsGiven {
		return arn[strings.LastIndex(arn, "/")+1:]
	}
	return arn
}
