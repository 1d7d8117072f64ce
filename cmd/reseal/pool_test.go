package main

import (
	"sync"
	"testing"
)

// pool runs subtests several at a time, whatever -parallel says.
type pool struct {
	t     *testing.T
	slots chan struct{}
	wg    sync.WaitGroup
}

func newPool(t *testing.T, n int) *pool { return &pool{t: t, slots: make(chan struct{}, n)} }

func (p *pool) run(name string, f func(*testing.T)) {
	p.slots <- struct{}{}
	p.wg.Go(func() {
		defer func() { <-p.slots }()
		p.t.Run(name, f)
	})
}

func (p *pool) wait() { p.wg.Wait() }
