package dispatch

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// sorted are the keys of prefixes, one prefix after the other.
func sorted(path string, prefixes, objects int) (keys []string) {
	for p := range prefixes {
		for i := range objects {
			keys = append(keys, fmt.Sprintf("%s%05d/%06d", path, p, i))
		}
	}
	return keys
}

// paged are the same as a listing in many ranges plans them: page by page, each of one
// prefix, in any order of prefixes.
func paged(path string, prefixes, objects, page int) (keys []string) {
	next := make([]int, prefixes)
	r := rand.New(rand.NewPCG(1, 2))
	for len(keys) < prefixes*objects {
		p := r.IntN(prefixes)
		for i := 0; i < page && next[p] < objects; i++ {
			keys = append(keys, fmt.Sprintf("%s%05d/%06d", path, p, next[p]))
			next[p]++
		}
	}
	return keys
}

// TestSixteenPrefixes: each with its limit, they are worked on at 0.9 of the sum of their
// limits, wherever they lie in the plan and however long what their keys have in common is:
// over all nights together, and each at three quarters, since in some a prefix finds its
// limit late.
func TestSixteenPrefixes(t *testing.T) {
	const sum = 16 * 100.0
	nights, total := 0, 0.0
	deep := "data/region=eu-central-1/" + fmt.Sprintf("%0300d", 0) + "/table/"
	for name, keys := range map[string][]string{
		"one after the other": sorted("p", 16, 12_000),
		"deep":                sorted(deep, 16, 12_000),
		"page by page":        paged("o/", 16, 12_000, 1000),
	} {
		for _, speed := range []float64{0, 10_000} {
			t.Run(fmt.Sprintf("%s, planned at %v", name, speed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNight(keys, folder(each(100)))
					n.plan.speed = speed
					n.run(t)
					n.once(t)
					all := n.store.between(30, 100)
					t.Logf("%v; %.0f a second from 30 s to 100 s, %.0f from 5 s to 30 s, %d prefixes", n.took, all, n.store.between(5, 30), len(n.store.taken))
					nights, total = nights+1, total+all
					if all < 0.75*sum {
						t.Errorf("%.0f a second, want three quarters of %v", all, sum)
					}
				})
			})
		}
	}
	if mean := total / float64(nights); mean < 0.9*sum {
		t.Errorf("%.0f a second over all nights, want 0.9 of %v", mean, sum)
	}
}

// TestOnePrefixIsAsBefore: where there is nothing else the plan's order stays.
func TestOnePrefixIsAsBefore(t *testing.T) {
	took := map[bool]time.Duration{}
	for _, plain := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			n := newNight(sorted("o/", 1, 20_000), folder(each(300)))
			n.plain = plain
			n.run(t)
			n.once(t)
			took[plain] = n.took
			for i, seq := range n.order {
				if int(seq) != i {
					t.Fatalf("task %d was given out as number %d", seq, i)
				}
			}
		})
	}
	t.Logf("%v in the plan's order, %v by the dispatcher", took[true], took[false])
	if took[false] > took[true]*102/100 {
		t.Errorf("%v, and %v in the plan's order", took[false], took[true])
	}
}

// TestOneSlowPrefix: fifteen quick prefixes end as if there were no slow one, and that goes at
// its limit from the beginning to the end.
func TestOneSlowPrefix(t *testing.T) {
	for name, keys := range map[string][]string{"one after the other": sorted("p/", 16, 6000), "page by page": paged("p/", 16, 6000, 250)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNight(keys, folder(func(prefix string) float64 {
					if prefix == "p/00003/" {
						return 50
					}
					return 1e6
				}))
				n.run(t)
				n.once(t)
				t.Logf("%v, %.0f a second from 5 s to 25 s", n.took, n.store.between(5, 25))
				if least := 6000 / 50 * time.Second; n.took > least*12/10 {
					t.Errorf("it took %v, and the slow prefix alone takes %v", n.took, least)
				}
			})
		})
	}
}

// TestTinyPrefixes: 100,000 prefixes of one object each are not slower than in the plan's
// order, whether the store limits all of them together or none.
func TestTinyPrefixes(t *testing.T) {
	for _, limit := range []float64{1000, 1e6} {
		took := map[bool]time.Duration{}
		for _, plain := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				n := newNight(sorted("t/", 100_000, 1), func(string) (string, float64) { return "", limit })
				n.plain = plain
				n.run(t)
				n.once(t)
				took[plain] = n.took
			})
		}
		t.Logf("limit %v: %v in the plan's order, %v by the dispatcher", limit, took[true], took[false])
		if took[false] > took[true]*102/100 {
			t.Errorf("limit %v: %v, and %v in the plan's order", limit, took[false], took[true])
		}
	}
}

// TestManySlowPrefixesAndAQuickOne: workers do not all wait for those that are slow.
func TestManySlowPrefixesAndAQuickOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := append(sorted("p", 15, 6000), sorted("q", 1, 60_000)...)
		n := newNight(keys, folder(func(prefix string) float64 {
			if prefix[0] == 'p' {
				return 100
			}
			return 1e6
		}))
		n.run(t)
		n.once(t)
		t.Logf("%v, %v", n.took, n.store.taken["q00000/"])
		if n.took > 90*time.Second { // 60 s of the slow ones; one after the other they take 915 s
			t.Errorf("it took %v", n.took)
		}
	})
}

// TestKilledAndTakenUp: what was given out and not done when a process died is done by the
// next, and nothing else of it.
func TestKilledAndTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(sorted("p", 16, 1500), folder(each(100)))
		for lives := 0; ; lives++ {
			n.kill = 10 * time.Second
			n.order = nil
			n.run(t)
			if len(n.done) == len(n.plan.keys) {
				t.Logf("%d lives", lives+1)
				break
			}
			if lives > 40 {
				t.Fatalf("%d of %d are done", len(n.done), len(n.plan.keys))
			}
			// What was given out and has no outcome comes first, in order: as if it were a lane
			// of holes in front.
			var rest []string
			for _, seq := range n.order {
				if n.done[seq] == 0 {
					rest = append(rest, n.plan.keys[seq])
				}
			}
			for _, l := range n.plan.lanes {
				rest = append(rest, n.plan.keys[l.next:min(l.end, uint64(len(n.plan.keys)))]...)
			}
			done := map[uint64]int{}
			for i := range uint64(len(n.plan.keys) - len(rest)) {
				done[i] = 1
			}
			n.plan.keys = append(make([]string, len(done)), rest...)
			n.plan.lanes = []stretch{{next: uint64(len(done)), end: 1 << 60}}
			n.done = done
		}
		n.order = nil
		n.once(t)
	})
}

// TestVersionsOfAKeyAreInOrder: also where every key has several, and lanes begin anywhere.
func TestVersionsOfAKeyAreInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		for _, key := range sorted("p", 16, 300) {
			keys = append(keys, key, key, key)
		}
		n := newNight(keys, folder(each(50)))
		n.run(t)
		t.Log(n.took, len(n.plan.lanes))
		n.once(t)
	})
}
