package wire

import (
	"sync"
	"sync/atomic"
	"time"
)

const shards = 16

// pool keeps a host's unused connections. A request takes the one that was used
// last in the shard of its key, so that the COPY of an object goes over the
// connection of its HEAD, and no lock is shared by all workers.
type pool struct {
	shard [shards]shard
	idle  atomic.Int64
}

type shard struct {
	n  atomic.Int32 // len(conns), to look without locking
	mu struct {
		sync.Mutex
		conns []*conn
	}
	_ [64]byte // apart from its neighbour's cache line
}

// get takes a connection that was used since oldest, first from the shard of
// hash, then from anywhere; nil if there is none.
func (p *pool) get(hash uint64, oldest time.Time) *conn {
	for i := range uint64(shards) {
		s := &p.shard[(hash+i)%shards]
		if s.n.Load() == 0 {
			continue
		}
		if k := p.pop(s, oldest); k != nil {
			return k
		}
	}
	return nil
}

func (p *pool) pop(s *shard, oldest time.Time) *conn {
	s.mu.Lock()
	c := s.mu.conns
	if len(c) == 0 {
		s.mu.Unlock()
		return nil
	}
	k := c[len(c)-1]
	if !k.lastUsed.Before(oldest) {
		c[len(c)-1] = nil
		s.mu.conns = c[:len(c)-1]
		s.n.Store(int32(len(c) - 1))
		s.mu.Unlock()
		p.idle.Add(-1)
		return k
	}
	// The one used last is too old, so all of the shard are.
	s.mu.conns = nil
	s.n.Store(0)
	s.mu.Unlock()
	p.discard(c)
	return nil
}

// put gives a connection back; max bounds how many are kept, oldest those at the
// bottom of the stack, which would otherwise lie there for ever.
func (p *pool) put(k *conn, hash uint64, limit int64, oldest time.Time) {
	if p.idle.Add(1) > limit {
		p.idle.Add(-1)
		k.close()
		return
	}
	s := &p.shard[hash%shards]
	s.mu.Lock()
	stale := 0
	for stale < len(s.mu.conns) && s.mu.conns[stale].lastUsed.Before(oldest) {
		stale++
	}
	var old []*conn
	if stale > 0 {
		old = append(old, s.mu.conns[:stale]...)
		s.mu.conns = append(s.mu.conns[:0], s.mu.conns[stale:]...)
	}
	s.mu.conns = append(s.mu.conns, k)
	s.n.Store(int32(len(s.mu.conns)))
	s.mu.Unlock()
	p.discard(old)
}

// drain closes all of them.
func (p *pool) drain() {
	for i := range p.shard {
		s := &p.shard[i]
		s.mu.Lock()
		c := s.mu.conns
		s.mu.conns = nil
		s.n.Store(0)
		s.mu.Unlock()
		p.discard(c)
	}
}

func (p *pool) discard(conns []*conn) {
	p.idle.Add(-int64(len(conns)))
	for _, k := range conns {
		k.close()
	}
}
