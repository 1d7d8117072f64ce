package checkpoint

import (
	"bytes"
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// Append adds tasks to the plan and moves the cursors past them, all or nothing,
// and gives the tasks their Seq. When it returns, Next can give them out; they
// are durable before Next does, and with PlanComplete or Flush. Safe for
// concurrent use.
func (s *Store) Append(tasks []object.Task, cursors []object.Cursor) error {
	page, _ := s.pages.Get().(*encodedPage)
	if page == nil {
		page = new(encodedPage)
	}
	added := page.encode(s.dict, tasks)
	var first uint64
	err := s.submit(&request{fill: func(t *turn) error {
		if t.complete {
			return refused{ErrPlanComplete}
		}
		first = t.plan.Objects
		t.tasks(first, page)
		for i := range cursors {
			t.cursor(&cursors[i])
		}
		t.plan.Objects += added.Objects
		t.plan.Bytes += added.Bytes
		t.planned = true
		return nil
	}})
	if err != nil {
		return err // the writer may still read the page
	}
	s.pages.Put(page)
	for i := range tasks {
		tasks[i].Seq = first + uint64(i)
	}
	return nil
}

// encodedPage is the values of a page of tasks, one after the other, and where each
// ends. Its memory is used again.
type encodedPage struct {
	values []byte
	ends   []int
}

func (p *encodedPage) encode(d *dict, tasks []object.Task) object.Tally {
	e := encoder{b: p.values[:0], d: d}
	p.ends = slices.Grow(p.ends[:0], len(tasks))
	added := object.Tally{Objects: uint64(len(tasks))}
	for i := range tasks {
		e.task(&tasks[i])
		p.ends = append(p.ends, len(e.b))
		added.Bytes += max(0, tasks[i].Object.Size)
	}
	p.values = e.b
	return added
}

func (t *turn) tasks(first uint64, page *encodedPage) {
	begin := 0
	var key [10]byte
	for i, end := range page.ends {
		_ = t.Set(appendSeqKey(key[:0], planPrefix, first+uint64(i)), page.values[begin:end], nil)
		begin = end
	}
}

func (t *turn) cursor(c *object.Cursor) {
	var e encoder
	e.cursor(c)
	_ = t.Set([]byte(cursorPrefix+c.Range), e.b, nil)
}

// fillPlan writes how much was appended, once for all Appends of the turn.
func (t *turn) fillPlan() {
	if !t.planned {
		return
	}
	var e encoder
	e.byte(valueVersion)
	e.tally(t.plan)
	_ = t.Set([]byte(keyPlan), e.b, nil)
}

// PlanComplete says that the source was read to its end. When it returns, the
// whole plan is durable; Next ends with io.EOF after its last task.
func (s *Store) PlanComplete() error {
	return s.submit(&request{sync: true, fill: func(t *turn) error {
		t.complete, t.planned = true, true
		return t.Set([]byte(keyComplete), []byte{valueVersion}, nil)
	}})
}

// PlanIsComplete says whether PlanComplete was called, by this process or an
// earlier one.
func (s *Store) PlanIsComplete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.complete
}

// Cursors are the source's positions as they are durable or about to be, for
// planner.Source.Read; nil where nothing was read yet.
func (s *Store) Cursors() ([]object.Cursor, error) {
	var cursors []object.Cursor
	err := s.scan(cursorPrefix, func(key, value []byte) error {
		c, err := decodeCursor(string(key[len(cursorPrefix):]), value)
		if err != nil {
			return s.damaged(string(key), err)
		}
		cursors = append(cursors, c)
		return nil
	})
	return cursors, err
}

// SetMeta keeps a blob of somebody else's under a name: capabilities, bucket
// facts, a plan's summary. It is durable on return.
func (s *Store) SetMeta(name string, value []byte) error {
	value = append([]byte{valueVersion}, value...)
	return s.submit(&request{sync: true, fill: func(t *turn) error {
		return t.Set([]byte(metaPrefix+name), value, nil)
	}})
}

// Meta is what SetMeta kept, and whether there was anything.
func (s *Store) Meta(name string) (value []byte, found bool, err error) {
	v, found, err := s.get([]byte(metaPrefix + name))
	if err != nil || !found {
		return nil, false, err
	}
	if len(v) == 0 || v[0] != valueVersion {
		return nil, false, s.damaged(metaPrefix+name, &corruptError{"unknown version"})
	}
	return bytes.Clone(v[1:]), true, nil
}
