package dispatch

import (
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// look glances at the plan and begins lanes where others are not. head is the key that was
// given out last where there is one lane.
func (d *Dispatcher) look(head string) (more bool, err error) {
	d.glance = time.Now().Add(d.wait)
	d.wait = min(2*d.wait, longWait)
	room := maxLanes - len(d.lanes)
	if room <= 0 {
		return false, nil
	}
	places, err := d.journal.Glance(glanced)
	if err != nil {
		return false, err
	}
	found := d.sort(places, head)
	var at []uint64
	for _, b := range found {
		b.choose(room - len(at))
		at = append(at, b.begin...)
	}
	if len(at) > 0 {
		before := len(d.journal.Lanes())
		if err := d.journal.Fork(at); err != nil {
			return false, err
		}
		if more = len(d.journal.Lanes()) > before; more {
			d.reload()
			d.wait = shortWait
		}
	}
	for _, b := range found {
		if b.full {
			d.pace.Spread(b.prefix, 1+len(b.begin)/max(1, len(b.heads)), b.large)
		}
	}
	return more, nil
}

// below is what lies below one limit.
type below struct {
	prefix string
	full   bool
	heads  []string // the keys that lanes have come to
	places []object.Place
	begin  []uint64 // where lanes are to begin
	large  []string // the prefixes of heads and begin that have much of the work
}

// sort puts lanes and places below the limits that they lie under, those with room first.
func (d *Dispatcher) sort(places []object.Place, head string) (all []*below) {
	of := func(key string) *below {
		prefix, full := d.full(key)
		for _, b := range all {
			if b.prefix == prefix {
				return b
			}
		}
		b := &below{prefix: prefix, full: full}
		all = append(all, b)
		return b
	}
	if head != "" {
		b := of(head)
		b.heads = append(b.heads, head)
	}
	for _, l := range d.lanes {
		if len(l.buf) > 0 {
			b := of(l.buf[0].Object.Key)
			b.heads = append(b.heads, l.buf[0].Object.Key)
		}
	}
	for _, p := range places {
		b := of(p.Key)
		b.places = append(b.places, p)
	}
	slices.SortStableFunc(all, func(a, b *below) int {
		switch {
		case a.full == b.full:
			return 0
		case a.full:
			return 1
		}
		return -1
	})
	return all
}

// choose picks places of different prefixes at which no lane is, evenly spread.
func (b *below) choose(most int) {
	if len(b.places) == 0 {
		return
	}
	common := b.common()
	taken, size := map[string]bool{}, map[string]int{}
	for _, key := range b.heads {
		taken[object.PathSegment(key, common)] = true
	}
	var free []object.Place
	for _, p := range b.places {
		seg := object.PathSegment(p.Key, common)
		if size[seg]++; !taken[seg] && size[seg] == 1 {
			free = append(free, p)
		}
	}
	n := max(0, min(most, perPrefix-len(taken), len(free)))
	for i := range n {
		p := free[i*len(free)/n]
		b.begin = append(b.begin, p.Seq)
		taken[object.PathSegment(p.Key, common)] = true
	}
	path := b.places[0].Key[:common]
	for seg := range taken {
		if seg != "" && size[seg] >= much {
			b.large = append(b.large, path+seg)
		}
	}
	slices.Sort(b.large)
}

// common is how long the path is that all keys begin with.
func (b *below) common() int {
	path := b.places[0].Key
	for _, p := range b.places {
		path = path[:object.CommonPath(path, p.Key)]
	}
	for _, key := range b.heads {
		path = path[:object.CommonPath(path, key)]
	}
	return len(path)
}
