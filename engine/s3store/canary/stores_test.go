//go:build stores

package canary_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

type measuredStore struct {
	profile s3test.Profile
	start   func(testing.TB, realserver.Options) *realserver.Server
}

var measured = []measuredStore{{s3test.Ceph16(), realserver.StartCeph}, {s3test.SeaweedFS2026(), realserver.StartSeaweedFS}}

// TestStoresProfiles asks a real store, and the embedded one that plays it, the
// same questions: what a test on the profile shows is true of the store.
func TestStoresProfiles(t *testing.T) {
	for _, store := range measured {
		t.Run(store.profile.Name, func(t *testing.T) {
			real := store.start(t, realserver.Options{})
			played := s3test.New(s3test.Config{Profile: store.profile, TLS: true})
			t.Cleanup(played.Close)
			for _, key := range real.Keys {
				played.KMS.CreateNamedKey(key)
			}
			for _, b := range []struct {
				name string
				cfg  s3test.BucketConfig
			}{
				{"plain", s3test.BucketConfig{Ownership: "ObjectWriter"}},
				{"versioned", s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter"}},
				{"locked", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"}},
			} {
				if store.profile.Name == "SeaweedFS2026" {
					b.cfg.Ownership = "" // it has no ACLs, whatever was asked
				}
				played.CreateBucket(b.name, b.cfg)
				bucket(t, real.Client(), b.name, b.cfg.ObjectLock)
				if b.cfg.Versioning != "" && !b.cfg.ObjectLock {
					if _, err := real.Client().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b.name,
						VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
						t.Fatal(err)
					}
				}
				for name, target := range map[string]object.Target{
					"kms":          {SSE: object.SSEKMS, KMSKeyID: "key-b"},
					"s3":           {SSE: object.SSES3},
					"sse-c":        {SSE: object.SSEC, CustomerKey: customerKey(t)},
					"sse-c to kms": {SSE: object.SSEKMS, KMSKeyID: "key-b", SourceKey: customerKey(t)},
				} {
					t.Run(b.name+"/"+name, func(t *testing.T) {
						o := s3store.ProbeOptions{Bucket: b.name, Prefix: "some/prefix", Target: target, Everything: true}
						got := probe(t, openAt(t, real, s3store.Options{}), real.Client(), o)
						ca := filepath.Join(t.TempDir(), "ca.pem")
						if err := os.WriteFile(ca, played.CAPEM(), 0o600); err != nil {
							t.Fatal(err)
						}
						t.Setenv("AWS_CA_BUNDLE", ca)
						s := openFake(t, played, s3store.Options{})
						var err error
						if o.Facts, err = s.BucketFacts(t.Context(), b.name); err != nil {
							t.Fatal(err)
						}
						want, err := s.Probe(t.Context(), o)
						if err != nil {
							t.Fatal(err)
						}
						if !reflect.DeepEqual(got.Notes, want.Notes) {
							t.Errorf("noted\n%q\nthe profile\n%q", got.Notes, want.Notes)
						}
						g, w := reflect.ValueOf(got), reflect.ValueOf(want)
						for i := range g.NumField() {
							if f := g.Type().Field(i); f.Name != "Notes" && !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
								t.Errorf("%s: the store %v, the profile %v", f.Name, g.Field(i), w.Field(i))
							}
						}
					})
				}
			}
		})
	}
}
