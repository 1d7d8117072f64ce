package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/resealhq/reseal/engine/object"
)

// naming is a store of a bucket that was taken for one that keeps versions. names are the
// versions that its copies make, the last one again and again, kept is what it says of
// itself then, likewise. A key that older names has an older null version.
type naming struct {
	*memStore
	names []string
	kept  []object.Versioning
	older string
	asked int
}

func (s *naming) Copy(ctx context.Context, r *object.CopyRequest) (object.CopyReply, error) {
	reply, err := s.memStore.Copy(ctx, r)
	reply.VersionID = s.names[min(s.count(object.ReqCopy), len(s.names))-1]
	return reply, err
}

func (s *naming) Head(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Head, error) {
	if ref.VersionID == object.NullVersion && ref.Key != s.older {
		return object.Head{}, &object.Error{Class: object.ClassGone, Op: "HeadObject", Ref: ref, HTTPStatus: 404}
	}
	h, err := s.memStore.Head(ctx, ref, key)
	h.ShownVersionID = "v1"
	return h, err
}

func (s *naming) versioning(context.Context) (object.Versioning, error) {
	s.asked++
	return s.kept[min(s.asked, len(s.kept))-1], nil
}

func (s *naming) config(j *memJournal, source string) Config {
	cfg := memConfig(s.memStore, j, object.OpCopy)
	cfg.Store.Hot, cfg.Source.Hot, cfg.Workers = s, s, 1
	cfg.Caps.Source, cfg.Caps.VersionsInReplies = source, object.Yes
	cfg.Facts.Versioning, cfg.Versioning = object.VersioningEnabled, s.versioning
	return cfg
}

const enabled, suspended, unknown = object.VersioningEnabled, object.VersioningSuspended, object.VersioningUnknown

// TestVersionsThatRepliesName: what a run makes of the versions that copies make in a bucket
// that was taken for one that keeps them. It stops where that is wrong, and not where the
// store was not to be asked for a moment, or one reply names none.
func TestVersionsThatRepliesName(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		names  []string
		kept   []object.Versioning
		stops  string
		left   bool // the key with the older null version
	}{
		"as before":                           {source: "aws", names: []string{"v"}, kept: []object.Versioning{enabled}},
		"suspended":                           {source: "aws", names: []string{"v", "null"}, kept: []object.Versioning{suspended}, stops: "and is suspended now"},
		"one names none":                      {source: "aws", names: []string{"", "v"}, kept: []object.Versioning{enabled}},
		"one names none, then suspended":      {source: "aws", names: []string{"", "v", "v", "null"}, kept: []object.Versioning{enabled, suspended}, stops: "and is suspended now"},
		"some keys keep none":                 {source: "canary", names: []string{"v", "null"}, kept: []object.Versioning{enabled}, left: true},
		"some keys keep none, and name none":  {source: "canary", names: []string{"v", ""}, kept: []object.Versioning{enabled}, left: true},
		"the store does not tell for a while": {source: "canary", names: []string{"v", "", "v"}, kept: []object.Versioning{unknown, unknown, enabled}, left: true},
		"it never tells":                      {source: "canary", names: []string{"v", "null"}, kept: []object.Versioning{unknown}, stops: "does not tell whether it still is"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &naming{memStore: newMemStore(10), names: c.names, kept: c.kept, older: "k000007"}
				j := planOf(s.memStore, true)
				err := Run(t.Context(), s.config(j, c.source))
				if c.stops == "" && err != nil || c.stops != "" && (err == nil || !strings.Contains(err.Error(), c.stops)) {
					t.Errorf("ended with %v", err)
				}
				out, n := j.mu.outcomes[7], s.count(object.ReqCopy)
				if left := out != nil && out.Reason == object.ReasonNullVersion; left != c.left || c.stops != "" && n > len(c.names)+1 {
					t.Errorf("left %t, %d copies", left, n)
				}
			})
		})
	}
}

// TestVersionsAskedAtTheEnd: a run that is given up while it asks the store whether versions
// are kept was given up, and nothing else.
func TestVersionsAskedAtTheEnd(t *testing.T) {
	s := &naming{memStore: newMemStore(3), names: []string{"null"}}
	ctx, cancel := context.WithCancel(t.Context())
	cfg := s.config(planOf(s.memStore, true), "aws")
	cfg.Versioning = func(ctx context.Context) (object.Versioning, error) {
		cancel()
		return object.VersioningUnknown, ctx.Err()
	}
	if err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// TestNullVersionThatWasCopied: a key whose null version is its current one loses nothing to a
// copy that takes its place.
func TestNullVersionThatWasCopied(t *testing.T) {
	it := &item{run: newRun(&Config{Facts: object.BucketFacts{Versioning: enabled}}), version: object.NullVersion}
	it.noteMade(t.Context(), &object.CopyReply{VersionID: object.NullVersion})
	if it.overNull(&it.out); it.out.Message != "" {
		t.Errorf("the row says %s", it.out.Message)
	}
}

// TestCurrent: nothing is copied while the settings are in doubt, and an update needs none of
// them.
func TestCurrent(t *testing.T) {
	for op, want := range map[object.Operation]int{object.OpCopy: 5, object.OpUpdate: 0} {
		s := newMemStore(5)
		if op == object.OpUpdate {
			for _, o := range s.mu.objects {
				o.Encryption.Type = object.SSES3
			}
		}
		cfg, asked := memConfig(s, planOf(s, true), op), 0
		cfg.Workers = 1
		cfg.Current = func(context.Context) error {
			asked++
			return nil
		}
		if err := Run(t.Context(), cfg); err != nil || asked != want {
			t.Errorf("%v: asked %d times, %v", op, asked, err)
		}
	}
}

// TestAVersionFromBeforeTheChange: the answer to a copy that a bucket still kept a version of comes
// after the one that shows that it ceased to. What others have looked at since says as little of the
// null version as before.
func TestAVersionFromBeforeTheChange(t *testing.T) {
	s := &naming{memStore: newMemStore(3), kept: []object.Versioning{object.VersioningOff}}
	cfg := s.config(planOf(s.memStore, true), "minio")
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r := newRun(&cfg)
	r.cancel = func() {}
	for i, id := range []string{"", "v2", ""} {
		it := &item{run: r, attrs: new(object.Attributes)}
		it.noteMade(t.Context(), &object.CopyReply{VersionID: id})
		var out object.Outcome
		it.overNull(&out)
		if told := strings.Contains(out.Message, TookNullVersion); told != (id == "") {
			t.Errorf("row %d: %q", i, out.Message)
		}
	}
}
