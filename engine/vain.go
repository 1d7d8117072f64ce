package engine

import (
	"github.com/resealhq/reseal/engine/object"
)

// A copy that the store answers with success, and that leaves the object under the KMS key
// that it was under, is in vain. In a bucket that keeps versions it is one more old version
// of the object all the same, which costs money until somebody who knows of it deletes it.

// told is an outcome whose row names the versions that copies of this item have left, or may
// have left, beside the one that every copy leaves, and the null version whose place one may
// have taken.
func (it *item) told(out *object.Outcome) *object.Outcome {
	if out == nil || !it.run.cfg.Dest.InPlace() {
		return out
	}
	it.overNull(out)
	if !it.keepsOldVersion() && it.run.versioning() != object.VersioningUnknown {
		return out
	}
	if out.State == object.Failed && it.made != "" && !it.past.vain {
		adds(out, "it was written before that, and where the bucket keeps versions the one before it is left behind")
	}
	if it.past.vain {
		adds(out, "where the bucket keeps versions, the copy that kept the old KMS key is one more old version of it")
	}
	if it.past.vainBefore {
		adds(out, "a copy of an earlier process of this job may have kept the old KMS key, and have left one more old version of it")
	}
	if it.past.copyLost && out.State != object.Done {
		adds(out, "a copy that got no answer may have taken effect before, and have left one more old version of it")
	}
	return out
}

// mayBeVain says whether what is there now may be what a process that died has made by a
// copy in vain, or by another request after one.
func (it *item) mayBeVain(now *object.Object) bool {
	row := &it.task.Object
	return !it.run.makesAnew() && (row.Size < 0 || row.Size == now.Size) && it.mayKeepKeyOf(&row.Encryption) && (row.ETag == "" || row.WrittenSince(now))
}
