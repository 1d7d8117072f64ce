package job

import (
	"math"
	"sync/atomic"
	"time"
)

// latencies are how long the requests of some time took, for the pictures of the report.
// A share of a power of two is close enough for these, and a request costs one addition.
type latencies struct {
	counts [latencyBuckets]atomic.Uint64
}

// From a tenth of a millisecond on, eight buckets double; the last takes what is slower
// than half an hour.
const (
	latencyLeast    = 100 * time.Microsecond
	latencyPerPower = 8
	latencyBuckets  = 24 * latencyPerPower
)

func (l *latencies) add(d time.Duration) {
	i := 0
	if d > latencyLeast {
		i = min(latencyBuckets-1, int(latencyPerPower*math.Log2(float64(d)/float64(latencyLeast))))
	}
	l.counts[i].Add(1)
}

// take is what half and what 95 in 100 of the requests since the last call took at most,
// in seconds; zero where there was none.
func (l *latencies) take() (median, slow float64) {
	var counts [latencyBuckets]uint64
	all := uint64(0)
	for i := range l.counts {
		counts[i] = l.counts[i].Swap(0)
		all += counts[i]
	}
	if all == 0 {
		return 0, 0
	}
	within := func(share float64) float64 {
		passed := uint64(0)
		for i, n := range counts {
			if passed += n; float64(passed) >= share*float64(all) {
				return latencyLeast.Seconds() * math.Exp2((float64(i)+0.5)/latencyPerPower)
			}
		}
		return 0
	}
	return within(0.5), within(0.95)
}
