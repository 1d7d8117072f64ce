package main

import (
	"context"
	"fmt"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/store"
	"github.com/resealhq/reseal/planner"
)

// atOnce answers without a store, so that what is left is reseal's own share.
type atOnce struct{ store.Hot }

func (atOnce) Head(_ context.Context, ref object.Ref, _ object.CustomerKey) (object.Head, error) {
	h := object.Head{Object: object.Object{Ref: ref, Size: 1024, ETag: nullETag, LastModified: time.Unix(1700000000, 0)}}
	h.Encryption = object.Encryption{Type: object.SSENone}
	return h, nil
}

func (atOnce) Copy(context.Context, *object.CopyRequest) (object.CopyReply, error) {
	return object.CopyReply{ETag: nullETag, Encryption: object.Encryption{Type: object.SSES3}, RequestID: "17D6B4A1C2E3F405"}, nil
}

// atOnceConfig is a run on such a store.
func atOnceConfig(points *checkpoint.Store) engine.Config {
	caps := object.Capabilities{Source: "canary", Encrypts: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy,
		CopyShowsEncryption: object.Yes, CopyIfMatch: object.Yes, CopySourceIfMatch: object.Yes, KeepsTags: object.Yes, KeepsExpires: object.Yes}
	facts := object.BucketFacts{Versioning: object.VersioningOff, ACLsDisabled: object.Yes, ObjectLock: object.No, Website: object.No}
	target := object.Target{SSE: object.SSES3}
	return engine.Config{Journal: points, Store: engine.Store{Hot: atOnce{}}, Target: target, Caps: caps, Facts: facts,
		Chooser: &planner.Chooser{Target: target, Caps: caps, Facts: facts}, Pace: pace.New(pace.Limits{Concurrency: 64}), Workers: 64}
}

// planNull plans n objects; settled ones need no HEAD.
func planNull(points *checkpoint.Store, n int, settled bool) error {
	page := make([]object.Task, 0, 1000)
	for i := 0; i < n; {
		page = page[:0]
		for ; len(page) < cap(page) && i < n; i++ {
			o := object.Object{Ref: object.Ref{Bucket: "n", Key: nullKey(i)}, Size: 1024, ETag: nullETag, LastModified: time.Unix(1700000000, 0), Settled: settled}
			t := object.Task{Object: o, Operation: object.OpUndecided}
			if settled {
				t.Object.Encryption, t.Operation = object.Encryption{Type: object.SSENone}, object.OpCopy
			}
			page = append(page, t)
		}
		if err := points.Append(page, []object.Cursor{{Range: "r", Position: fmt.Append(nil, i)}}); err != nil {
			return err
		}
	}
	return points.PlanComplete()
}
