package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestLossesAreAsked: an object that would lose something is left as it is, with
// the name of the loss as the reason, until the operator accepts that loss; then
// it is done, and loses nothing else.
func TestLossesAreAsked(t *testing.T) {
	t.Parallel()
	everyDetail := []string{"encryption", "tagging", "acl", "retention", "legal-hold"}
	atOnce := newPool(t, 4)
	for _, loss := range []struct {
		name     string
		reason   object.Reason
		refused  bool // found out before anything is touched
		nameless bool // --accept has no name for it
		profile  s3test.Profile
		cfg      s3test.BucketConfig
		object   func(o *s3test.Object) []s3test.PutOption
	}{
		{name: "tags", reason: object.ReasonTags, object: func(o *s3test.Object) []s3test.PutOption { o.Tags = fullObject(1, 1).Tags; return nil },
			profile: s3test.Profile{CopyDropsTags: true, UploadDropsTags: true, ForeignObject: everyDetail}},
		{name: "lock", reason: object.ReasonLock, object: locked("GOVERNANCE", true), cfg: s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true},
			profile: s3test.Profile{CopyDropsLock: true, UploadDropsLock: true, ForeignObject: everyDetail}},
		{name: "grants unread", reason: object.ReasonACL, object: granted, refused: true,
			cfg: s3test.BucketConfig{Ownership: "ObjectWriter", Deny: []s3test.Deny{{Action: "s3:GetObjectAcl", Keys: "precious"}}}},
		{name: "redirect", reason: object.ReasonRedirect, object: func(o *s3test.Object) []s3test.PutOption { o.Redirect = "/elsewhere"; return nil },
			profile: s3test.Profile{CopyDropsRedirect: true}, cfg: s3test.BucketConfig{Documents: website}},
		{name: "composite checksum", reason: object.ReasonComposite, object: inPieces("SHA256", "COMPOSITE", 65*mib, 65*mib),
			profile: s3test.Profile{NoMultipartCopy: true}},
		{name: "class", reason: object.ReasonClass, nameless: true, object: class("STANDARD_IA", "", ""), profile: s3test.Profile{ClassAlwaysDefault: true}},
		{name: "hidden metadata", reason: object.ReasonMetadata, nameless: true, object: func(o *s3test.Object) []s3test.PutOption { o.Body = s3test.Synthetic(1, 6<<30); return hidden(o) }},
	} {
		atOnce.run(loss.name, func(t *testing.T) {
			st := newStage(t, s3test.Config{Profile: loss.profile, Seed: 1})
			st.server.CreateBucket("b", loss.cfg)
			precious := s3test.Object{Key: "precious", Body: s3test.Synthetic(1, 130*mib)}
			precious.Encryption.Type = object.SSES3
			with := loss.object(&precious)
			st.server.Put("b", precious, with...)
			st.server.Put("b", s3test.Object{Key: "simple", Body: s3test.Bytes("x")})
			before := st.server.Snapshot("b")
			target := object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyA}
			simple := func(o s3test.Object) bool { return o.Key == "simple" }
			args := []string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--operation", "copy", "--no-progress", "--job"}
			job := filepath.Join(t.TempDir(), "job")
			end, want, changes := st.reseal(t, append(args, job)...), 3, only(simple)
			if loss.refused {
				want, changes = 2, untouched
			}
			if end.code != want {
				t.Fatalf("exit code %d, want %d\n%s", end.code, want, end.stderr)
			}
			st.differences(t, before, check.Expectation{Target: target, Intent: changes})
			if loss.refused {
				if !strings.Contains(end.stderr, "--accept "+string(loss.reason)) {
					t.Errorf("the refusal does not name the loss: %s", end.stderr)
				}
			} else if row := st.rows(t, job)["precious"]; row["state"] != "left" || row["reason"] != string(loss.reason) {
				t.Errorf("it is %s because of %q (%s %s), want left because of %s", row["state"], row["reason"], row["error_code"], row["message"], loss.reason)
			}
			if loss.nameless {
				return
			}
			if end := st.reseal(t, append(args, job+"-accepted", "--accept", string(loss.reason))...); end.code != 0 {
				t.Fatalf("with --accept %s: exit code %d\n%s%v", loss.reason, end.code, end.stderr, st.rows(t, job+"-accepted"))
			}
			st.differences(t, before, check.Expectation{Target: target, Accept: []object.Reason{loss.reason}})
		})
	}
	atOnce.wait()
}

func granted(o *s3test.Object) []s3test.PutOption {
	o.Grants = fullObject(1, 1).Grants
	return nil
}
