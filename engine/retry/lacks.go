package retry

import (
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// kmsWorked counts the requests that may have needed a KMS and succeeded, by their use of it.
type kmsWorked [object.NumKMSSides][object.NumKMSSures]atomic.Uint64

// worked counts a success.
func (w *kmsWorked) worked(c *object.Call) {
	if c.Kind.NeedsKMS() {
		u := c.KMSUse()
		w[u.Side][u.Sure].Add(1)
	}
}

// told is how many successes say something of the KMS that such a call needs.
func (w *kmsWorked) told(c *object.Call) (n uint64) {
	of := c.KMSUse()
	for sure := range w[of.Side] {
		if (object.KMSUse{Side: of.Side, Sure: uint8(sure)}).Tells(of) {
			n += w[of.Side][sure].Load()
		}
	}
	return n
}

// enough says whether a request that failed for a moment, n times by now, is given
// up. Waiting for room, or for the KMS, lasts as long as an outage may.
func (l *Loop) enough(n int, err error, waited time.Duration) bool {
	switch class := object.ClassOf(err); class {
	case object.ClassFull, object.ClassKMSAway:
		return waited >= l.OutageWait || class == object.ClassKMSAway && n >= l.MaxAttempts
	}
	return n >= l.MaxAttempts
}

// counts says whether a failure for a moment counts as an attempt: a store that has no room
// for anybody, or no KMS, says nothing of this request.
func (t *troubles) counts(c object.Class) bool {
	return c != object.ClassFull && (c != object.ClassKMSAway || t.singled)
}
