package canary_test

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestProbeOfMarkersThatStay: MinIO lists what it has still to delete of a tier as delete markers, and
// answers to their deletion with success. Nothing of the probe is there any more.
func TestProbeOfMarkersThatStay(t *testing.T) {
	srv := s3test.New(s3test.Config{Profile: s3test.Profile{LeavesMarkers: true}})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter"})
	s := openFake(t, srv, s3store.Options{})
	o := s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: object.BucketFacts{Versioning: object.VersioningEnabled, ACLsDisabled: object.No}}
	if got, err := s.Probe(t.Context(), o); err != nil || got.Encrypts != object.Yes {
		t.Errorf("%v, encrypts %v", err, got.Encrypts)
	}
	left := srv.Snapshot("b").Objects
	for _, o := range left {
		if !o.DeleteMarker {
			t.Errorf("left: %+v", o)
		}
	}
	if len(left) == 0 {
		t.Error("no marker stayed, so nothing was tried")
	}
}
