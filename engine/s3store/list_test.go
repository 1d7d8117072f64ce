package s3store_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestVersionsBehindNull: OpenStack Swift names the null version behind every page of versions.
// All of them are seen all the same, by the store's quick reading and by the thorough one.
func TestVersionsBehindNull(t *testing.T) {
	for _, metadata := range []bool{false, true} {
		srv := s3test.New(s3test.Config{Profile: s3test.Profile{Name: "null behind every page", VersionsNullNext: true, ListMetadata: true}})
		defer srv.Close()
		srv.CreateBucket("b", s3test.BucketConfig{})
		srv.Put("b", s3test.Object{Key: "hot", Body: s3test.Bytes("null")})
		srv.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
		want := []string{"cold 0"}
		srv.Put("b", s3test.Object{Key: "cold", Body: s3test.Bytes("0")})
		for i := range 7 {
			srv.Put("b", s3test.Object{Key: "hot", Body: s3test.Bytes(fmt.Sprint(i))})
		}
		for i := range 8 {
			want = append(want, fmt.Sprint("hot ", i))
		}
		s := openFake(t, srv, s3store.Options{})
		for size := 1; size < 10; size++ {
			var got []string
			q := object.ListRequest{Bucket: "b", MaxKeys: size, Metadata: metadata}
			for range 20 {
				page, err := s.ListVersionsPage(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range page.Objects {
					n := 0
					for _, before := range got {
						if before[:3] == o.Key[:3] {
							n++
						}
					}
					got = append(got, fmt.Sprint(o.Key, " ", n))
				}
				if q.KeyMarker, q.VersionIDMarker = page.NextKeyMarker, page.NextVersionIDMarker; !page.Truncated {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("in pages of %d: %q", size, got)
			}
		}
	}
}
