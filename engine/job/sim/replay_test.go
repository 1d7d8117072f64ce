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

// TestSoakReplay plays nights twice: the store must be asked the same, in the same
// moments.
func TestSoakReplay(t *testing.T) {
	first, seeds := nightsToPlay(5, 100)
	same := 0
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			var traces [2][]string
			for i := range traces {
				p := draw(seed)
				p.traced = true
				t.Run(fmt.Sprint(i), func(t *testing.T) { traces[i] = strings.Split(p.night(t).trace, "\n") })
			}
			if slices.Equal(traces[0], traces[1]) {
				same++
				return
			}
			for i := range traces[0] {
				if i >= len(traces[1]) || traces[0][i] != traces[1][i] {
					t.Errorf("line %d of %d\n%s\nwas replayed as one of %d\n%s", i, len(traces[0]), traces[0][i], len(traces[1]), strings.Join(traces[1][i:min(i+1, len(traces[1]))], ""))
					break
				}
			}
		})
	}
	t.Logf("%d of %d nights are replayed to the same trace", same, seeds)
}
