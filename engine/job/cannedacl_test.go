package job

import (
	"cmp"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestGrantsWhereACLsAreSaidToBeDisabled: SeaweedFS says so of each bucket that nobody has asked about,
// takes ACLs by a word there, and honours them. An object that is public is left as it is, unless that
// may be lost; one that is not is done. The same where the bucket has ACLs.
func TestGrantsWhereACLsAreSaidToBeDisabled(t *testing.T) {
	public := []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	for _, ownership := range []string{"", "ObjectWriter", "BucketOwnerEnforced"} {
		for _, accept := range [][]Acceptance{nil, {AcceptACL}} {
			b := newBench(t, s3test.Config{Profile: s3test.SeaweedFS2026()}, s3test.BucketConfig{Ownership: ownership}, 0)
			b.KMS.CreateNamedKey("key-b")
			b.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: "key-b"}
			b.Put("b", s3test.Object{Key: "private", Body: s3test.Bytes("body")})
			b.Put("b", s3test.Object{Key: "public", Body: s3test.Bytes("body"), Attrs: s3test.Attrs{Grants: public}})
			j := b.create(t, Policy{Accept: accept})
			sum, err := j.Run(t.Context(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			left := int64(1)
			if accept != nil || ownership == "BucketOwnerEnforced" { // whoever has set that wants no ACLs
				left = 0
			}
			is, _ := b.Get("b", "public", "")
			if int64(sum.Left) != left || sum.Failed > 0 || int64(sum.Done) != 2-left || left == 1 && len(is.Grants) != 1 {
				t.Errorf("ownership %q, accept %v: %+v; the grants are %v", ownership, accept, sum, is.Grants)
			}
			var rows strings.Builder
			if err := j.Report(t.Context(), &rows, ReportOptions{}); err != nil || left == 1 && !strings.Contains(rows.String(), ",public,,left,,acl,") {
				t.Errorf("%v\n%s", err, rows.String())
			}
		}
	}
}

// TestGrantsOfABucketThatNobodyHasAskedAbout: what the canary sees of the ACLs of the bucket that is written
// to says nothing of another one's, so that each object is asked there. Nothing is left that has none.
func TestGrantsOfABucketThatNobodyHasAskedAbout(t *testing.T) {
	public := []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	for _, from := range []string{"", "ObjectWriter", "BucketOwnerEnforced"} {
		for _, to := range []string{"", "ObjectWriter", "BucketOwnerEnforced"} {
			for _, elsewhere := range []*DestConnection{nil, {Region: "us-east-1"}} {
				b := newBench(t, s3test.Config{Profile: s3test.SeaweedFS2026()}, s3test.BucketConfig{Ownership: from}, 0)
				b.CreateBucket("d", s3test.BucketConfig{Ownership: to})
				b.KMS.CreateNamedKey("key-b")
				b.spec.Target, b.spec.DestConnection = Target{SSE: object.SSEKMS, KMSKeyID: "key-b", DestBucket: "d"}, elsewhere
				b.Put("b", s3test.Object{Key: "private", Body: s3test.Bytes("body")})
				b.Put("b", s3test.Object{Key: "public", Body: s3test.Bytes("body"), Attrs: s3test.Attrs{Grants: public}})
				sum, err := b.create(t, Policy{}).Run(t.Context(), Options{})
				if err != nil {
					t.Fatal(err)
				}
				left := int64(1)
				if from == "BucketOwnerEnforced" { // none has an effect there
					left = 0
				}
				if int64(sum.Left) != left || int64(sum.Done) != 2-left {
					t.Errorf("from %q to %q, elsewhere %v: %+v", from, to, elsewhere != nil, sum)
				}
			}
		}
	}
}

// TestGrantsThatMayNotBeTried: who may give no ACL learns nothing of that, and each object is asked.
func TestGrantsThatMayNotBeTried(t *testing.T) {
	public := []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	b := newBench(t, s3test.Config{Profile: s3test.SeaweedFS2026()}, s3test.BucketConfig{Deny: []s3test.Deny{{Action: "s3:PutObjectAcl"}}}, 0)
	b.Put("b", s3test.Object{Key: "private", Body: s3test.Bytes("body")})
	b.Put("b", s3test.Object{Key: "public", Body: s3test.Bytes("body"), Attrs: s3test.Attrs{Grants: public}})
	b.KMS.CreateNamedKey("key-b")
	b.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: "key-b"}
	j := b.planned(t, Policy{})
	sum, err := j.Run(t.Context(), Options{})
	if is, _ := b.Get("b", "public", ""); err != nil || sum.Left != 1 || sum.Done != 1 || len(is.Grants) != 1 {
		t.Errorf("%v, %+v, the grants are %v", err, sum, is.Grants)
	}
}

// TestGrantsThatMayNotBeRead: where a bucket was not seen to refuse ACLs, and who may not read those of its
// objects begins a job, nothing is done, also where throwaway objects are locked, or another store is
// written to.
func TestGrantsThatMayNotBeRead(t *testing.T) {
	public := []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	for name, c := range map[string]struct {
		bucket    s3test.BucketConfig
		elsewhere bool
	}{
		"plain":     {},
		"locks":     {bucket: s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, DefaultLockMode: "GOVERNANCE", DefaultLockDays: 1}},
		"elsewhere": {elsewhere: true},
	} {
		c.bucket.Deny = []s3test.Deny{{Action: "s3:GetObjectAcl"}}
		b := newBench(t, s3test.Config{Profile: s3test.SeaweedFS2026()}, c.bucket, 0)
		b.Put("b", s3test.Object{Key: "public", Body: s3test.Bytes("body"), Attrs: s3test.Attrs{Grants: public}})
		b.KMS.CreateNamedKey("key-b")
		b.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: "key-b"}
		if c.elsewhere {
			to := s3test.New(s3test.Config{})
			t.Cleanup(to.Close)
			to.CreateBucket("d", s3test.BucketConfig{Ownership: "ObjectWriter"})
			b.spec.Target = Target{SSE: object.SSES3, DestBucket: "d"}
			b.spec.DestConnection = &DestConnection{EndpointURL: to.URL()}
		}
		_, err := b.create(t, Policy{}).Run(t.Context(), Options{})
		if is, _ := b.Get("b", "public", ""); len(is.Grants) != 1 {
			t.Errorf("%s: the grants are %v", name, is.Grants)
		}
		if err == nil || !strings.Contains(err.Error(), "s3:GetObjectAcl is not granted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestACLsThatAreDisabledMeanwhile: a job goes on where its bucket takes ACLs at first and then none.
func TestACLsThatAreDisabledMeanwhile(t *testing.T) {
	for _, profile := range []s3test.Profile{s3test.SeaweedFS2026(), s3test.AWS()} {
		for _, at := range []string{"", "ObjectWriter"} {
			b := newBench(t, s3test.Config{Profile: profile}, s3test.BucketConfig{Ownership: at}, 3)
			b.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: b.KMS.CreateNamedKey("key-b")}
			if profile.KeyAsGiven {
				b.spec.Target.KMSKeyID = "key-b"
			}
			j := b.planned(t, Policy{})
			b.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Ownership = "BucketOwnerEnforced" })
			if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 3 {
				t.Errorf("%s, %q: %v, %+v", profile.Name, at, err, sum)
			}
		}
	}
}

// TestACLsThatAreTakenLater: what an object has that became public after the job began is not lost.
func TestACLsThatAreTakenLater(t *testing.T) {
	public := []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	for _, to := range []string{"", "ObjectWriter"} {
		b := newBench(t, s3test.Config{Profile: s3test.SeaweedFS2026()}, s3test.BucketConfig{Ownership: "BucketOwnerEnforced"}, 0)
		b.Put("b", s3test.Object{Key: "public", Body: s3test.Bytes("body")})
		b.KMS.CreateNamedKey("key-b")
		b.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: "key-b"}
		j := b.planned(t, Policy{})
		b.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Ownership = cmp.Or(to, "unasked") })
		b.Modify("b", "public", "", func(a *s3test.Attrs) { a.Grants = public })
		sum, err := j.Run(t.Context(), Options{})
		if is, _ := b.Get("b", "public", ""); err != nil || sum.Left != 1 || len(is.Grants) != 1 {
			t.Errorf("%q: %v, %+v, the grants are %v", to, err, sum, is.Grants)
		}
	}
}
