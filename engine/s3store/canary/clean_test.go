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

// TestProbeOfMarkersThatComeLate: a deletion whose answer was lost takes effect while everything is removed
// for the second time. Its marker has not been asked for by then, and does not stay.
func TestProbeOfMarkersThatComeLate(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter"})
	s := openFake(t, srv, s3store.Options{})
	name, removing, late := "", false, 0
	srv.OnRequest(func(r s3test.Request) {
		switch {
		case r.Op == "DeleteObjects":
			removing = true
		case removing && late == 0 && r.Op == "ListObjectVersions":
			late++
			srv.Put("b", s3test.Object{Key: name + "01-direct", DeleteMarker: true})
		case late == 1 && r.Op == "DeleteObject":
			late++
			srv.Put("b", s3test.Object{Key: name + "02-algorithm", DeleteMarker: true})
		}
	})
	o := s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, Announce: func(n string) error { name = n; return nil },
		Facts: object.BucketFacts{Versioning: object.VersioningEnabled, ACLsDisabled: object.No}}
	if _, err := s.Probe(t.Context(), o); err != nil || late != 2 {
		t.Errorf("%v; %d markers came", err, late)
	}
	if left := srv.Snapshot("b").Objects; len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
}
