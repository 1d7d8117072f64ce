package canary_test

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestProbeOfAClass: a store with storage classes of its own (Ceph) is asked about the one that the job
// is about. What it does with AWS's says nothing of that, nor the other way round.
func TestProbeOfAClass(t *testing.T) {
	own := s3test.Ceph20()
	own.OwnClass = "COLD"
	for _, tc := range []struct {
		profile s3test.Profile
		class   string
		want    object.Finding
	}{
		{own, "COLD", object.Yes},
		{own, "", object.Unknown},
		{own, "WARM", object.Unknown},
		{own, "GLACIER", object.Unknown},
		{s3test.MinIO(), "", object.Yes},
		{s3test.MinIO(), "STANDARD", object.Yes},
		{s3test.MinIO(), "COLD", object.Unknown},
		{s3test.Profile{OwnClass: "COLD", ClassAlwaysDefault: true}, "COLD", object.Unknown},
	} {
		for _, versioning := range []string{"", "Enabled"} {
			srv := s3test.New(s3test.Config{Profile: tc.profile})
			defer srv.Close()
			o := s3store.ProbeOptions{Class: tc.class, Target: object.Target{SSE: object.SSEKMS, KMSKeyID: keyOn(srv, &tc.profile)}}
			got := find(t, srv, openFake(t, srv, s3store.Options{}), o, s3test.BucketConfig{Versioning: versioning})
			if got.KeepsClass != tc.want || got.Encrypts != object.Yes {
				t.Errorf("%s, %q, versioning %q: keeps the class %v, encrypts %v", tc.profile.Name, tc.class, versioning, got.KeepsClass, got.Encrypts)
			}
		}
	}
}
