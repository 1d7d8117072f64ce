package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
)

// A store that dates a write before that waits for its turn keeps it below what the job has written
// meanwhile, and answers it with success.

// drawBelow draws, by a chance of its own, how often that happens, and objects that were there before
// versions were kept. It needs a store that sorts versions as they come, and whose clock does not go back.
func (p *plan) drawBelow(r *rand.Rand) {
	if p.bucket.Versioning != "Enabled" || p.unguarded() || p.skewed() || !chance(r, 0.4) {
		return
	}
	p.below = one(r, 0.05, 0.2, 0.5)
	p.unnamed = make([]bool, len(p.objects))
	first := map[string]bool{}
	for i, o := range p.objects {
		p.unnamed[i] = !p.bucket.ObjectLock && !o.DeleteMarker && !first[o.Key] && chance(r, 0.3)
		first[o.Key] = true
	}
}

// lower is what another client has written below the job's own version.
type lower struct {
	key, id string
	written *s3test.Object
}

// onEffect lets another client's write come to lie below what the job has just written.
func (n *night) onEffect(r s3test.Request) {
	if n.plan.below == 0 || !r.Applied || r.Op != "PutObject" && r.Op != "CompleteMultipartUpload" || n.before.Find(r.Key) == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	id := "below " + r.Op + " " + r.Key
	n.mu.seen[id]++
	x := drawn(n.plan.seed, id, n.mu.seen[id])
	if float64(x%10000)/10000 >= n.plan.below {
		return
	}
	x /= 10000
	o := s3test.Object{Key: r.Key}
	if o.DeleteMarker = x%5 == 4; !o.DeleteMarker {
		o.Body = s3test.Bytes(fmt.Sprintf("of another client, below, %d", x))
		o.Metadata = map[string]string{"by": "another"}
		if x%2 == 0 {
			o.Encryption.Type = object.SSES3
		}
	}
	l := lower{r.Key, n.server.PutBelow(bucketName, o), &o}
	n.mu.lower = append(n.mu.lower, l)
	f := &foreign{below: l.id, deleted: o.DeleteMarker}
	if !o.DeleteMarker {
		f.written = &o
	}
	n.mu.touched[r.Key] = f
	n.mu.acts++
	n.mu.told = append(n.mu.told, fmt.Sprintf("%15.9f after %s %q, another client's %s lies below it: %v", time.Since(n.began).Seconds(), r.Op, r.Key, l.id, f))
}

// tells says whether a failed row names what another client wrote and the object does not hold.
func (f *foreign) tells(r report.Row) bool {
	return f.below != "" && r.State == "failed" && strings.Contains(r.Message, f.below)
}

// lowerOnes wants what was written below the job's own to be there still.
func (n *night) lowerOnes() {
	for _, l := range n.mu.lower {
		now, there := n.server.Get(bucketName, l.key, l.id)
		if !there || now.DeleteMarker != l.written.DeleteMarker || !now.DeleteMarker && !now.Body.Equal(l.written.Body) {
			n.Errorf("%q version %s was written by another client, and is lost", l.key, l.id)
		}
	}
}
