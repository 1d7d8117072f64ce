package retry

import (
	"fmt"
	"sync"
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
func (l *Loop) enough(c *object.Call, n int, err error, waited time.Duration) bool {
	switch class := object.ClassOf(err); class {
	case object.ClassFull, object.ClassKMSAway:
		if waited >= l.OutageWait {
			l.waitedInVain(c, err)
			return true
		}
		return class == object.ClassKMSAway && n >= l.MaxAttempts
	}
	return n >= l.MaxAttempts
}

// counts says whether a failure for a moment counts as an attempt: a store that has no room
// for anybody, or no KMS, says nothing of this request.
func (t *troubles) counts(c object.Class) bool {
	return c != object.ClassFull && (c != object.ClassKMSAway || t.singled)
}

// vain are the objects for which was waited in vain since such a request succeeded last.
type vain struct {
	sync.Mutex
	keys   map[string]bool
	worked uint64
}

// vainToStop is how many objects in a row say that every one would wait as long in vain. Fewer
// fail, since that may be due to them, and a job has to come to an end.
const vainToStop = 5

// waitedInVain stops the run where what is lacking is not the object's own trouble: each of the
// others would wait for as long, for days and years in all.
func (l *Loop) waitedInVain(c *object.Call, err error) {
	l.vain.Lock()
	defer l.vain.Unlock()
	whatever := object.Call{Kind: c.Kind}
	if worked := l.kms.told(&whatever); worked != l.vain.worked || l.vain.keys == nil {
		l.vain.keys, l.vain.worked = map[string]bool{}, worked
	}
	key := c.Key
	if key == "" { // a request to KMS is of one object, and does not name it
		key = fmt.Sprint(len(l.vain.keys))
	}
	if l.vain.keys[key] = true; len(l.vain.keys) >= vainToStop {
		l.Stop(fmt.Errorf("waited in vain for %s: %w", l.OutageWait, err))
	}
}
