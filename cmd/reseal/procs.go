package main

import (
	"os"
	"runtime"
	"time"
)

// When the number of CPUs that goroutines run on changes: one more where those
// there are had no rest for a second, one less where the others would have had some
// for five.
const (
	procsLook  = 500 * time.Millisecond
	procsBusy  = 0.95 // of what there is,
	procsRush  = 2    // looks in a row
	procsIdle  = 0.75 // of what there would be with one less,
	procsCalm  = 10   // looks in a row
	procsBegin = 1
)

// procs says how many CPUs goroutines should run on. A run waits most of its time,
// and on more CPUs than it needs the scheduler spends as much on looking for work
// and on waking its own threads as the work costs: measured against the null
// server, a fifth of all CPU, which belongs to whatever else the machine does.
type procs struct {
	now, most  int
	rush, calm int
}

// next takes how many CPUs the process kept busy since the last look.
func (p *procs) next(busy float64) int {
	p.rush, p.calm = p.rush+1, p.calm+1
	if busy < procsBusy*float64(p.now) {
		p.rush = 0
	}
	if busy > procsIdle*float64(p.now-1) {
		p.calm = 0
	}
	switch {
	case p.rush >= procsRush && p.now < p.most:
		p.now, p.rush = p.now+1, 0
	case p.calm >= procsCalm && p.now > 1:
		p.now, p.calm = p.now-1, 0
	}
	return p.now
}

// followLoad sets GOMAXPROCS by procs until stop is called, which waits for its
// goroutine. A GOMAXPROCS of the environment stays as it is.
func followLoad() (stop func()) {
	began, ok := cpuTime()
	if !ok || os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	p := &procs{now: procsBegin, most: runtime.GOMAXPROCS(0)}
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
