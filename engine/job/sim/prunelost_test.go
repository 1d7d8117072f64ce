package sim

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestAPruneThatCannotSeeWhatItDeleted: a deletion got no answer, and the version cannot be looked
// at after it. S3 tells nobody who may not list that one is not there. The row does not call it
// untouched.
func TestAPruneThatCannotSeeWhatItDeleted(t *testing.T) {
	const wanted = "k2"
	cryptotest.SetGlobalRandom(t, 1)
	dir := filepath.Join(scratch(t), "job")
	synctest.Test(t, func(t *testing.T) {
		b := newPrunable(t, dir, 4, job.Target{SSE: object.SSES3})
		defer b.end()
		sent := false
		b.OnRequest(func(r s3test.Request) {
			rule := ""
			switch {
			case r.Key != wanted:
			case r.Op == "DeleteObject":
				sent, rule = true, "(If DeleteObject ReplyLost)"
			case sent && r.Op == "HeadObject" && r.VersionID() != "":
				rule = `(If HeadObject (Error 403 AccessDenied "no"))`
			}
			if err := b.SetRules(rule); err != nil {
				t.Error(err)
			}
		})
		var rows strings.Builder
		p, err := b.job.Prune(t.Context(), job.PruneOptions{Options: b.opt, Delete: true, Rows: &rows})
		if err != nil || !sent || p.Deleted != 3 || p.Kept != 1 || !strings.Contains(rows.String(), "the answer to its deletion") {
			t.Errorf("%+v, %v\n%s", p, err, rows.String())
		}
	})
}

// TestAPruneBehindAProxyThatAsksForLess: what stands in front of the store answers deletions with a
// 503 of its own for ten minutes, whether it has handed them on or not. It is waited for, as by a run.
func TestAPruneBehindAProxyThatAsksForLess(t *testing.T) {
	for _, does := range []string{"(Page 503)", "(Applied (Page 503))"} {
		t.Run(does, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			dir := filepath.Join(scratch(t), "job")
			synctest.Test(t, func(t *testing.T) {
				const objects = 4
				b := newPrunable(t, dir, objects, job.Target{SSE: object.SSES3})
				defer b.end()
				if err := b.SetRules(`(If (And DeleteObject (Key "k*")) ` + does + `)`); err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(10*time.Minute, func() {
					if err := b.SetRules(""); err != nil {
						t.Error(err)
					}
				})
				var rows strings.Builder
				p, err := b.job.Prune(t.Context(), job.PruneOptions{Options: b.opt, Delete: true, Rows: &rows})
				if err != nil || p.Deleted != objects {
					t.Errorf("%+v, %v\n%s", p, err, rows.String())
				}
				if n := len(b.Snapshot(bucketName).Objects); n != objects {
					t.Errorf("%d versions are there", n)
				}
			})
		})
	}
}
