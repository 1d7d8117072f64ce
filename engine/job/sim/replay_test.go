package sim

import (
	"fmt"
	"hash/fnv"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// A seed is replayed to the same trace. What a night asks of chance is drawn from its
// seed, the names that come from crypto/rand among it; and no two requests reach the
// store in the same moment, so that the order in which goroutines run decides nothing.

// drawn is a number that depends on all of its arguments.
func drawn(what ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, what...)
	return mixed(h.Sum64())
}

// mixed spreads what differs in few bits over all of them.
func mixed(x uint64) uint64 {
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

// apart gives a request a moment of its own, drawn by what it asks, and when. It has its
// effect in that moment also where the process that sent it is no more.
func (n *night) apart(r s3test.Request) {
	x := drawn(n.plan.seed, "apart", r.Op, named(r.Key), r.Query, r.Time.UnixNano())
	time.Sleep(n.plan.latency + time.Duration(x%1e7))
}

// named is a key without what chance gives it: the questions of a canary are asked at
// once, and number their objects as they come.
func named(key string) string { return chosen.ReplaceAllString(key, "canary") }

var chosen = regexp.MustCompile(`reseal-canary-[0-9a-f]{24}-[0-9]+`)

// Uint64 is what the waits of the job are drawn from: by the moment, since two that ask
// in the same one do so in any order.
func (n *night) Uint64() uint64 { return drawn(n.plan.seed, "wait", time.Now().UnixNano()) }

// trace is what the store was asked, as it came, and what it answered.
func (n *night) trace() string {
	lines := slices.Clone(n.mu.told)
	for _, r := range n.server.Requests() {
		lines = append(lines, fmt.Sprintf("%15.9f %s %q?%s %s %d %s applied=%t %s", r.Time.Sub(n.began).Seconds(), r.Op, named(r.Key), r.VersionID(), strings.Join(r.Query["uploadId"], ""), r.Status, r.Code, r.Applied, r.Fault))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// night plays the night of a plan in a bubble of its own time.
func (p *plan) night(t *testing.T) (out tally) {
	cryptotest.SetGlobalRandom(t, p.seed)
	dir := scratch(t)
	defer func() {
		if t.Failed() {
			t.Logf("RESEAL_SEED=%d plays this night again:\n%s", p.seed, p)
		}
	}()
	name := os.Getenv("RESEAL_SIM_TRACE")
	p.traced = p.traced || name != ""
	defer func() { // also where the night has failed
		if err := os.WriteFile(name, []byte(out.trace), 0o600); name != "" && err != nil {
			t.Error(err)
		}
	}()
	synctest.Test(t, func(t *testing.T) { play(t, p, dir, &out) })
	return out
}

// TestSoakReplay plays nights again: the store must be asked the same, in the same
// moments. A machine that takes a goroutine from its core in the middle of a moment may
// change the order in which others of the same moment go on, which few nights notice; two
// of four traces must be the same.
func TestSoakReplay(t *testing.T) {
	first, seeds := nightsToPlay(5, 100)
	atOnce := 0
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			var traces []string
			for i := range 4 {
				p := draw(seed)
				p.traced = true
				t.Run(fmt.Sprint(i), func(t *testing.T) { traces = append(traces, p.night(t).trace) })
				last := traces[len(traces)-1]
				if slices.Contains(traces[:len(traces)-1], last) {
					if i == 1 {
						atOnce++
					}
					return
				}
			}
			a, b := strings.Split(traces[2], "\n"), strings.Split(traces[3], "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Fatalf("line %d of %d\n%s\nwas replayed as one of %d\n%s", i, len(a), a[i], len(b), b[i])
				}
			}
			t.Errorf("%d lines were replayed as %d", len(a), len(b))
		})
	}
	t.Logf("%d of %d nights were replayed to the same trace at once", atOnce, seeds)
}
