package main

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// reader takes an event whenever it is let.
type reader struct {
	let  func()
	mu   sync.Mutex
	text strings.Builder
}

func (r *reader) Write(p []byte) (int, error) {
	r.let()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// keysTold are the keys of the objects that were told, by their bucket.
func (r *reader) keysTold(t *testing.T) (keys map[string]int, ended bool) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	keys = map[string]int{}
	for line := range strings.Lines(r.text.String()) {
		var e struct{ Event, Key string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == "object" {
			keys[e.Key]++
		}
		ended = e.Event == "end"
	}
	return keys, ended
}

// eventsOf are those of a job of shards of n objects each, for a reader. begun is called
// when work on one has begun.
func eventsOf(shards []string, n int, r *reader, begun func(shard string), others *strings.Builder) {
	e := &eventLog{w: r, queue: make(chan any, eventQueue), ended: make(chan struct{})}
	go e.write()
	for _, shard := range shards {
		end := e.watch(&job.Running{Progress: report.NewProgress(report.ProgressOptions{}), Setting: func() *job.Setting { return &job.Setting{} },
			Row: func(seq uint64) (object.Task, *object.Outcome, error) {
				return object.Task{Seq: seq, Object: object.Object{Ref: object.Ref{Bucket: "b", Key: shard}}}, nil, nil
			}})
		begun(shard)
		for i := range n {
			e.Settled(&object.Outcome{Seq: uint64(i), State: object.Done})
		}
		end()
	}
	e.end(nil, nil, 0, others)
}

// TestASlowReaderMissesNothing: who takes an event every nine seconds reads on.
func TestASlowReaderMissesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, others := &reader{let: func() { time.Sleep(9 * time.Second) }}, new(strings.Builder)
		eventsOf([]string{"first"}, 20, r, func(string) {}, others)
		if keys, ended := r.keysTold(t); keys["first"] != 20 || !ended || others.Len() > 0 {
			t.Errorf("%v, ended %v, %s", keys, ended, others)
		}
	})
}

// TestAReaderThatComesBack: what was given up is not told in the words of another shard, and
// what comes after it is told.
func TestAReaderThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		r, others := &reader{let: func() { <-back }}, new(strings.Builder)
		eventsOf([]string{"first", "second"}, 20, r, func(shard string) {
			if shard == "second" {
				close(back)
				synctest.Wait()
			}
		}, others)
		if keys, ended := r.keysTold(t); keys["first"] > 1 || keys["second"] != 20 || !ended || others.Len() > 0 {
			t.Errorf("%v, ended %v, %s", keys, ended, others)
		}
	})
}

// TestNobodyReadsToTheEnd: it is given up, and others are told so.
func TestNobodyReadsToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		r, others := &reader{let: func() { <-over }}, new(strings.Builder)
		began := time.Now()
		eventsOf([]string{"first", "second"}, 20, r, func(string) {}, others)
		if took := time.Since(began); took != eventLooks*eventLook || !strings.Contains(others.String(), "nobody reads the events") {
			t.Errorf("it took %v: %q", took, others)
		}
		close(over)
	})
}
