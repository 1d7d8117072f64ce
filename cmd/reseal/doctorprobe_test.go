package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestDoctorProbesAWS: the canary goes to AWS where a person asks for it, below the
// prefix that they named and nowhere else. It says first what it writes, and leaves
// nothing.
func TestDoctorProbesAWS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		profile s3test.Profile
		less    []string
	}{
		"as believed": {s3test.AWS(), nil},
		"otherwise":   {s3test.Profile{IgnoresCopyIfMatch: true}, []string{"copy_if_match"}},
	} {
		t.Run(name, func(t *testing.T) {
			st := newAWS(t, s3test.Config{Seed: 4, Profile: c.profile})
			st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"})
			st.server.Put("b", s3test.Object{Key: "data/k", Body: s3test.Bytes("x")})
			before := st.server.Snapshot("b")
			target := []string{"doctor", "s3://b/data/", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--json"}
			if said := st.reseal(t, target...); said.code != 0 || strings.Contains(said.stdout, `"probe"`) || wrote(st) > 0 {
				t.Fatalf("unasked: exit code %d, %d writes\n%s%s", said.code, wrote(st), said.stdout, said.stderr)
			}
			said := st.reseal(t, append(target, "--probe", "scratch/")...)
			var d struct {
				Findings     []struct{ Level, Topic, What string }
				Capabilities struct{ Source string }
				Probe        struct {
					Seen        struct{ Source, Update string }
					Differences []difference
				}
			}
			if err := json.Unmarshal([]byte(said.stdout), &d); err != nil || said.code != 0 {
				t.Fatalf("exit code %d, %v\n%s%s", said.code, err, said.stdout, said.stderr)
			}
			if !strings.Contains(said.stderr, "s3://b/scratch/.reseal-canary-") {
				t.Errorf("it was not said first what is written: %s", said.stderr)
			}
			st.differences(t, before, check.Expectation{Intent: untouched})
			for _, r := range st.server.Requests() {
				if writes[r.Op] && !strings.HasPrefix(r.Key, "scratch/.reseal-canary-") && r.Op != "DeleteObjects" {
					t.Errorf("%s of %q, which is not below the prefix", r.Op, r.Key)
				}
			}
			if wrote(st) < 20 || d.Capabilities.Source != "aws" || d.Probe.Seen.Source != "canary" || d.Probe.Seen.Update != "yes" {
				t.Errorf("%d writes; %+v", wrote(st), d)
			}
			var less []string
			for _, x := range d.Probe.Differences {
				if x.Less {
					less = append(less, x.Ability)
				}
			}
			serious := slices.ContainsFunc(d.Findings, func(f struct{ Level, Topic, What string }) bool {
				return f.Level == "serious" && f.Topic == "store" && strings.Contains(f.What, "seen to do less")
			})
			if !slices.Equal(less, c.less) || serious != (c.less != nil) {
				t.Errorf("seen to do less: %v, want %v; told as serious: %v", less, c.less, serious)
			}
		})
	}
}

var writes = map[string]bool{"PutObject": true, "CopyObject": true, "CreateMultipartUpload": true, "UploadPart": true, "UploadPartCopy": true,
	"CompleteMultipartUpload": true, "UpdateObjectEncryption": true, "PutObjectTagging": true, "PutObjectAcl": true,
	"PutObjectRetention": true, "PutObjectLegalHold": true, "DeleteObject": true, "DeleteObjects": true, "AbortMultipartUpload": true}

// wrote is how many requests could have changed something.
func wrote(st *stage) (n int) {
	for op := range writes {
		n += st.server.Count(op)
	}
	return n
}

// TestRealServerProbe: what a real MinIO does otherwise than AWS is named, and nothing
// of the canary is left there.
func TestRealServerProbe(t *testing.T) {
	t.Parallel()
	b := newBed(t, realserver.StartKES(t, realserver.Options{}), "probed")
	if _, err := b.client.PutObject(t.Context(), seedObject(b.bucket, 0, "data/k")); err != nil {
		t.Fatal(err)
	}
	var d struct{ Probe probedAnswers }
	if err := json.Unmarshal(b.reseal(0, "doctor", "s3://probed/data/", "--sse", "AES256", "--probe", "scratch/", "--json"), &d); err != nil {
		t.Fatal(err)
	}
	if p := d.Probe; !p.Sent || p.Seen.Encrypts != "yes" || p.Seen.CopyIfMatch != "no" || !slices.Contains(p.names(), "copy_if_match") {
		t.Errorf("%+v", p)
	}
	b.nothingElse([]string{"data/k"})
}

type probedAnswers struct {
	Sent bool
	Seen struct {
		Encrypts    string
		CopyIfMatch string `json:"copy_if_match"`
	}
	Differences []difference
}

func (p probedAnswers) names() (names []string) {
	for _, d := range p.Differences {
		names = append(names, d.Ability)
	}
	return names
}
