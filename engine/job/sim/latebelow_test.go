package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestACopyThatIsTakenBackLate: the removal of a copy that lies over another client's write has to wait.
// What others do meanwhile is seen before it is sent: tags that they give the copy keep it, and so does
// another object, which has come to lie above it.
func TestACopyThatIsTakenBackLate(t *testing.T) {
	tags := []object.Tag{{Key: "a", Value: "new"}}
	for name, c := range map[string]struct {
		others func(b *bed)
		want   string // what the object holds in the end
		row    string
	}{
		"tags":   {func(b *bed) { b.set(func(a *s3test.Attrs) { a.Tags = tags }) }, "small", "failed"},
		"object": {func(b *bed) { b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes("newest")}) }, "newest", "done"},
		"no one": {func(*bed) {}, "theirs", "done"},
	} {
		t.Run(name, func(t *testing.T) {
			onBed(t, s3test.MinIO(), s3test.BucketConfig{Versioning: "Enabled"}, 1, time.Second, func(t *testing.T, b *bed) {
				b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes("small")})
				lower := ""
				b.server.OnEffect(func(r s3test.Request) {
					if r.Op == "PutObject" && r.Key == "k00" && lower == "" {
						lower = b.server.PutBelow(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes("theirs")})
					}
				})
				b.policy = job.Policy{} // which writes by PutObject there
				waited := b.waits("DeleteObject", "k00", false, func() { c.others(b) })
				err := b.run(job.Limits{})
				o, _ := b.server.Get(bucketName, "k00", "")
				if err != nil || !*waited || string(o.Body.ReadAll()) != c.want || c.row == "failed" && len(o.Tags) != 1 {
					t.Errorf("%v; waited %t, it holds %q with %v", err, *waited, o.Body.ReadAll(), o.Tags)
				}
				if _, there := b.server.Get(bucketName, "k00", lower); !there {
					t.Error("what another client wrote is lost")
				}
				j, err := job.Open(b.dir)
				if err != nil {
					t.Fatal(err)
				}
				defer j.Close()
				var rows strings.Builder
				if err := j.Report(t.Context(), &rows, job.ReportOptions{}); err != nil || !strings.Contains(rows.String(), ","+c.row+",") || c.row == "failed" && !strings.Contains(rows.String(), lower) {
					t.Errorf("%v: %s", err, rows.String())
				}
			})
		})
	}
}
