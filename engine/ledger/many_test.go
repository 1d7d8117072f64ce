package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestManyWorkersOnManyShards: 256 workers take 256 shards, a lease and a log each, over a
// store that loses answers now and then. Some die, some sleep past their lease, and new ones
// come for them, as an array of tasks has it. Every step of every shard is there once, in
// order, in the virtual hours that this takes.
func TestManyWorkersOnManyShards(t *testing.T) {
	shards, steps := 256, 12
	if testing.Short() {
		shards = 32
	}
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(256, 1))
		b := newBucket()
		b.fault = func(int, string) fault {
			if r.IntN(50) > 0 {
				return works
			}
			return fault(r.IntN(4))
		}
		draw := func(n int) int {
			b.mu.Lock()
			defer b.mu.Unlock()
			return r.IntN(n)
		}
		var mu sync.Mutex
		var died, lost, lives int
		began := time.Now()
		var wg sync.WaitGroup
		for shard := range shards {
			wg.Go(func() {
				name, folder := fmt.Sprintf("leases/%04d", shard), fmt.Sprintf("shards/%04d/log", shard)
				for {
					l, err := Acquire(t.Context(), b.place(), name, Terms{Await: true})
					must(t, err)
					log := NewLog(b.place(), folder, name)
					var done int
					for s, err := range log.Segments(t.Context(), l) {
						must(t, err)
						if want := fmt.Sprint("step ", done); string(s) != want {
							t.Errorf("shard %d: %q, want %q", shard, s, want)
						}
						done++
					}
					mu.Lock()
					lives++
					mu.Unlock()
					for ; done < steps && err == nil; done++ {
						time.Sleep(time.Duration(5+draw(20)) * time.Second) // the work of a step
						if draw(30) == 0 {
							break
						}
						if err = log.Keep(fmt.Appendf(nil, "step %d", done)); err != nil {
							break
						}
					}
					if done == steps && err == nil {
						must(t, l.Release(t.Context()))
						return
					}
					killed(l)
					mu.Lock()
					if died++; errors.Is(err, ErrLost) {
						lost++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		took := time.Since(began)
		for shard := range shards {
			var got []string
			for s, err := range NewLog(b.place(), fmt.Sprintf("shards/%04d/log", shard), fmt.Sprintf("leases/%04d", shard)).Segments(t.Context(), nil) {
				must(t, err)
				got = append(got, string(s))
			}
			want := make([]string, steps)
			for i := range want {
				want[i] = fmt.Sprint("step ", i)
			}
			if !slices.Equal(got, want) {
				t.Errorf("shard %d: %q", shard, got)
			}
		}
		t.Logf("%d shards, %d lives of which %d ended too early, in %s; %d writes, %.1f a shard and minute", shards, lives, died, took.Round(time.Second),
			b.writes, float64(b.writes)/float64(shards)/took.Minutes())
		if died < shards/8 {
			t.Errorf("only %d died", died)
		}
	})
}
