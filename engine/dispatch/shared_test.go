package dispatch

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestOneLimitForAllPrefixes: where a store limits all prefixes together, what is worked on
// beside each other is no slower than one after the other, and is refused no more.
func TestOneLimitForAllPrefixes(t *testing.T) {
	for _, limit := range []float64{100, 1000} {
		took, refused := map[bool]time.Duration{}, map[bool]float64{}
		for _, plain := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				n := newNight(sorted("p", 16, int(limit)*10), func(string) (string, float64) { return "", limit })
				n.plain = plain
				n.run(t)
				n.once(t)
				took[plain], refused[plain] = n.took, float64(n.store.refused)/float64(len(n.plan.keys))
			})
		}
		t.Logf("limit %v: %v in the plan's order, %v by the dispatcher; refused %.4f and %.4f", limit, took[true], took[false], refused[true], refused[false])
		if took[false] > took[true]*105/100 {
			t.Errorf("limit %v: %v, and %v in the plan's order", limit, took[false], took[true])
		}
		if refused[false] > max(0.03, 2*refused[true]) {
			t.Errorf("limit %v: %.3f are refused, %.3f in the plan's order", limit, refused[false], refused[true])
		}
	}
}
