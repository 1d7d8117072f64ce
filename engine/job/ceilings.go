package job

import "time"

// The ceilings of a divided job are the whole job's: each shard at work takes its part
// of them. How many are at work is counted by their locks, at every beat.

// countEvery is the beat.
const countEvery = 5 * time.Second

// countShards shares the ceilings anew where shards have begun or ended.
func (t *teller) countShards(now time.Time) {
	if now.Sub(t.counted) >= countEvery {
		t.counted = now
		t.w.share()
	}
}

// share counts the shards at work, this one among them, and holds this process to its
// part of the ceilings.
func (w *work) share() {
	whole := w.job.whole
	if whole == nil {
		return
	}
	n := w.atWork()
	if n = max(1, n); w.shares.Swap(n) != n {
		w.log.Info("shards at work", "shards", n)
	}
	limits := w.inForce()
	w.pacer.SetLimits(limits.pace())
}

// atWork is how many shards of the job are at work.
func (w *work) atWork() (n int64) {
	whole := w.job.whole
	if whole.home != nil {
		n, err := whole.home.atWorkNow(whole.home.ctx, w.opt.lease())
		if err != nil {
			return w.shares.Load()
		}
		return n
	}
	for _, shard := range whole.parts() {
		if _, locked, err := shard.locked(); err == nil && locked {
			n++
		}
	}
	return n
}

// inForce is the setting with this process's part of the ceilings.
func (w *work) inForce() *Setting {
	s, n := *w.setting.Load(), w.shares.Load()
	if n > 1 {
		s.RequestsPerSecond /= float64(n)
		s.KMSRequestsPerSecond /= float64(n)
		if s.BytesPerSecond > 0 {
			s.BytesPerSecond = max(1, s.BytesPerSecond/n)
		}
	}
	return &s
}
