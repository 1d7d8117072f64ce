package main

import (
	"os"
	"runtime"
	"time"
)

// When the number of CPUs that goroutines run on changes: one more where those
// there are had no rest for a second, one less where the others would have had some
// for five. On more CPUs than it needs, the same work takes more of them, so that
// what is seen there does not tell whether one less would do: that is tried, and
// where it was in vain, tried again after twice as long.
const (
	procsLook  = 500 * time.Millisecond
	procsBusy  = 0.95 // of what there is,
	procsRush  = 2    // looks in a row
	procsIdle  = 0.75 // of what there would be with one less,
	procsLight = 1.35 // of that, where it is only tried,
	procsCalm  = 10   // looks in a row; a try that lasts as long was not in vain
	procsLong  = 1200 // the most looks between two tries
	procsBegin = 1
)

// procs says how many CPUs goroutines should run on. A run waits most of its time,
// and on more CPUs than it needs the scheduler spends as much on looking for work
// and on waking its own threads as the work costs: measured against the null
// server, a fifth of all CPU, which belongs to whatever else the machine does.
type procs struct {
	now, most int
	// rush, calm and light are how many looks in a row were so; since, how many ago
	// one was taken away; patience, how many light ones it takes.
	rush, calm, light int
	since, patience   int
}

func newProcs(most int) *procs {
	return &procs{now: procsBegin, most: most, since: procsCalm, patience: procsCalm}
}

// next takes how many CPUs the process kept busy since the last look.
func (p *procs) next(busy float64) int {
	less := float64(p.now - 1)
	p.since++
	count(&p.rush, busy >= procsBusy*float64(p.now))
	count(&p.calm, busy <= procsIdle*less)
	count(&p.light, busy <= procsLight*less)
	switch {
	case p.rush >= procsRush && p.now < p.most:
		if p.since <= procsCalm {
			p.patience = min(2*p.patience, procsLong)
		} else {
			p.patience = procsCalm
		}
		p.to(p.now + 1)
	case p.now > 1 && (p.calm >= procsCalm || p.light >= p.patience):
		p.to(p.now - 1)
		p.since = 0
	}
	return p.now
}

func (p *procs) to(n int) { p.now, p.rush, p.calm, p.light = n, 0, 0, 0 }

// count counts how often in a row it was so.
func count(n *int, so bool) {
	*n++
	if !so {
		*n = 0
	}
}

// followLoad sets GOMAXPROCS by procs until stop is called, which waits for its
// goroutine. A GOMAXPROCS of the environment stays as it is.
func followLoad() (stop func()) {
	began, ok := cpuTime()
	if !ok || os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	p := newProcs(runtime.GOMAXPROCS(0))
	runtime.GOMAXPROCS(p.now)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(procsLook)
		defer tick.Stop()
		last, at := began, time.Now()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			used, _ := cpuTime()
			now := time.Now()
			if n := p.next(float64(used-last) / float64(now.Sub(at))); n != runtime.GOMAXPROCS(0) {
				runtime.GOMAXPROCS(n)
			}
			last, at = used, now
		}
	}()
	return func() { close(end); <-ended }
}
