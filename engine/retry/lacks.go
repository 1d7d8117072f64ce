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
func (l *Loop) worked(c *object.Call) {
	if u := c.KMSUse(); c.Kind.NeedsKMS() {
		l.kms[u.Side][u.Sure].Add(1)
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
// up. Waiting for room, for the KMS, or for a store that fails for everybody, lasts as long as
// an outage may.
func (l *Loop) enough(c *object.Call, n int, err error, met *troubles) bool {
	class, limit := met.class(err), l.OutageWait
	throttled := class == object.ClassThrottled || class == object.ClassKMSThrottled
	if throttled {
		limit = l.ThrottleWait
	}
	lacks := met.silent || class == object.ClassFull || class == object.ClassKMSAway
	if (lacks || throttled) && met.away(class) >= limit || lacks && met.times(class) >= l.MaxAttempts && l.vain.lasts(l.vainOf(c, class)) {
		l.waitedInVain(c, class, err, limit)
		return true
	}
	return class != object.ClassFull && !throttled && n >= l.MaxAttempts
}

// counts says whether a failure for a moment counts as an attempt: a store that asks for fewer
// requests, or has no room for anybody, no KMS, or no answer, says nothing of this request.
func (t *troubles) counts(c object.Class) bool {
	switch c {
	case object.ClassFull, object.ClassThrottled, object.ClassKMSThrottled:
		return false
	case object.ClassKMSAway:
		return t.singled
	}
	return !t.silent
}

// vain are the objects for which was waited in vain since such a request succeeded last.
type vain struct {
	sync.Mutex
	of   vainOf
	keys map[string]bool
}

// vainOf is what was waited for, and how many such requests had succeeded by then.
type vainOf struct {
	class  object.Class
	side   uint8
	worked uint64
}

func (l *Loop) vainOf(c *object.Call, class object.Class) vainOf {
	other := object.Call{Kind: c.Kind}
	of := vainOf{class, other.KMSUse().Side, l.kms.told(&other)}
	switch class {
	case object.ClassThrottled, object.ClassKMSThrottled, object.ClassTransient: // a store that refuses everything, or fails, does so for all
		of.worked = l.outage.of(c).Load()
	}
	return of
}

// lasts says whether somebody has waited for that in vain, and nothing has succeeded since: the next
// one need not wait as long to know.
func (v *vain) lasts(of vainOf) bool {
	v.Lock()
	defer v.Unlock()
	return v.keys != nil && v.of == of
}

// vainToStop is how many objects in a row say that it is not their own trouble. Fewer fail, and a job
// comes to its end.
const vainToStop = 5

// waitedInVain stops the run where what is lacking would be lacking for every other object, too.
func (l *Loop) waitedInVain(c *object.Call, class object.Class, err error, waited time.Duration) {
	of := l.vainOf(c, class)
	l.vain.Lock()
	defer l.vain.Unlock()
	if l.vain.of != of || l.vain.keys == nil {
		l.vain.of, l.vain.keys = of, map[string]bool{}
	}
	key := c.Key
	if key == "" { // a request to KMS is of one object, and does not name it
		key = fmt.Sprint(len(l.vain.keys))
	}
	if l.vain.keys[key] = true; len(l.vain.keys) >= vainToStop {
		l.Stop(fmt.Errorf("waited in vain for %s: %w", waited, err))
	}
}
