package pace

import "errors"

// ErrDrained is Enter's answer, after Drain, to what would have to wait.
var ErrDrained = errors.New("let go: the run drains")

// Drain lets everything go that waits and ends nothing that was begun, now and from
// now on: a run that stops sends no request that has not been sent yet. What ends
// something passes as before.
func (p *Pacer) Drain() {
	m := &p.mu
	m.Lock()
	defer m.Unlock()
	m.draining = true
	p.letGo(m.slot)
	for _, l := range m.all {
		p.letGo(l)
	}
	p.drainAll(p.now())
}

// letGo empties a queue of what begins something. REQUIRES: mu.
func (p *Pacer) letGo(l *limiter) {
	for w := l.head; w != nil; {
		next := w.next
		if !w.call.Ends {
			l.remove(w)
			w.letGo = true
			p.queued.Add(-1)
			w.ready <- struct{}{}
		}
		w = next
	}
}
