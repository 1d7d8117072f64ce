package pace

import (
	"slices"
	"testing"
	"time"
)

// TestALimitBesideRefusals: where some are refused at any rate, a limit is found and followed
// as where none are. What is refused beyond those is what tells where the limit lies, so that
// it is more the more they hide. Medians of twelve draws by the calculator alone.
func TestALimitBesideRefusals(t *testing.T) {
	for _, tc := range []struct {
		limit, stray float64
		beyond       float64 // share of all that are sent
	}{
		{300, 0.03, 0.028}, {300, 0.1, 0.08}, {300, 0.3, 0.05},
		{1000, 0.03, 0.012}, {1000, 0.1, 0.016}, {1000, 0.3, 0.025},
		{3500, 0.03, 0.008}, {3500, 0.1, 0.01}, {3500, 0.3, 0.012},
	} {
		if testing.Short() && tc.limit > 300 {
			continue // 50 million simulated requests are for the round without -race
		}
		halved := func(sec float64) float64 {
			if sec >= 60 && sec < 120 {
				return tc.limit / 2
			}
			return tc.limit
		}
		spans := [][2]int{{20, 60}, {70, 120}, {145, 180}}
		taken, beyond := make([][]float64, len(spans)), make([][]float64, len(spans))
		for seed := range uint64(12) {
			accepted, bound, _, refused := drawRate{demand: 5 * tc.limit, allowed: halved, depth: 0.5, latency: 20 * time.Millisecond, jitter: 0.5, stray: tc.stray, seed: seed}.run(180)
			for i, span := range spans {
				var ok, no, of float64
				for sec := span[0]; sec < span[1]; sec++ {
					ok, no, of = ok+accepted[sec], no+float64(refused[sec]), of+bound[sec]
				}
				taken[i] = append(taken[i], ok/of)
				beyond[i] = append(beyond[i], no/(ok+no)-tc.stray)
			}
		}
		for i, span := range spans {
			slices.Sort(taken[i])
			slices.Sort(beyond[i])
			t.Logf("limit %.0f, %2.0f %% refused at any rate, seconds %d to %d: %.3f of the limit (the least %.3f), %.1f %% refused beyond those (the most %.1f %%)",
				tc.limit, 100*tc.stray, span[0], span[1], taken[i][6], taken[i][0], 100*beyond[i][6], 100*beyond[i][11])
			if taken[i][6] < 0.99 || beyond[i][6] > tc.beyond {
				t.Errorf("want at least 0.99 of the limit, and at most %.1f %% refused beyond", 100*tc.beyond)
			}
		}
	}
}

// TestAnOutageBesideRefusals: where some are refused at any rate a store that was away for a
// while has its pace again as soon as where none are.
func TestAnOutageBesideRefusals(t *testing.T) {
	for _, stray := range []float64{0, 0.1, 0.3} {
		for _, retry := range []time.Duration{0, 3 * time.Second} {
			for _, from := range []float64{100, 100.25, 100.5, 100.75} {
				const away = 60
				accepted, _, _, _ := drawRate{demand: 1000, depth: 0.1, latency: 20 * time.Millisecond, jitter: 0.5, stray: stray, retry: retry,
					allowed: func(sec float64) float64 {
						if sec >= from && sec < from+away {
							return 0
						}
						return 1e6
					}}.run(202)
				got := 0.0
				for _, n := range accepted[182:202] {
					got += n / 20
				}
				t.Logf("%2.0f %% refused at any rate, Retry-After %v, away at %.2f s: %.0f accepted a second from 20 s after it", 100*stray, retry, from, got)
				if want := 800 * (1 - stray); got < want {
					t.Errorf("%.0f accepted a second from 20 s after an outage on, want %.0f", got, want)
				}
			}
		}
	}
}
