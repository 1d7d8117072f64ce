package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// app is what the verbs share: where they read and write, and how a person
// stops them.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// printed: a result stands on standard output, and takes no second object.
	printed bool
	opened  []*job.Job // by a verb that only reads
	// reached is how the bucket is reached that the job lies in, as the command line says it.
	reached job.Connection
	// drain is closed by the first signal when a verb has asked to drain.
	drain *drainer
	// end ends the process at once; nil where it is another's, as in a test.
	end func(code int)
}

// drainer turns the first signal into a request to finish what is in flight,
// and the second into the end of the context.
type drainer struct {
	now     context.Context // ends at once: the second signal, or the first where nothing drains
	cancel  context.CancelFunc
	asked   chan struct{} // closed by the first signal
	wanted  chan struct{} // closed when a verb has taken over the first signal
	signals chan os.Signal
	unread  chan os.Signal // that nobody reads any more what is told: work goes on all the same
	done    chan struct{}
	end     func(code int) // of the process; see endAtLast
	ended   atomic.Bool    // the work: a command of the person's own may take its time
}

// watchSignals starts to listen; stop ends it.
func (a *app) watchSignals() *drainer {
	ctx, cancel := context.WithCancel(context.Background())
	d := &drainer{
		now: ctx, cancel: cancel,
		asked: make(chan struct{}), wanted: make(chan struct{}),
		signals: make(chan os.Signal, 2), unread: make(chan os.Signal, 1), done: make(chan struct{}), end: a.end,
	}
	signal.Notify(d.signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup(1) has it
		signal.Notify(d.signals, syscall.SIGHUP) // the terminal was closed, or the connection to it is gone
	}
	a.drain = d
	go d.watch()
	return d
}

// oneSignal is how long signals are one: timeout(1), a terminal and a supervisor
// may each send theirs for the same wish to stop.
const oneSignal = time.Second

func (d *drainer) watch() {
	var first time.Time
	for {
		select {
		case <-d.done:
			return
		case <-d.signals:
		}
		if !first.IsZero() && time.Since(first) < oneSignal {
			continue
		}
		if first.IsZero() {
			first = time.Now()
			close(d.asked)
			select {
			case <-d.wanted:
				continue // somebody drains; the next signal ends it
			default:
			}
		}
		if d.now.Err() == nil && d.end != nil {
			time.AfterFunc(atLast, d.endAtLast)
		}
		d.cancel()
	}
}

// atLast is how long a process that was told to stop at once may take for its last words,
// to the place of its job among others.
const atLast = 10 * time.Second

// endAtLast ends a process that has not ended though it was told to: it writes to a
// terminal that was stopped or a pipe that nobody reads, waits for a file system that is
// gone, or reads what is long. Nothing is lost by that which a kill would not lose too.
func (d *drainer) endAtLast() {
	select {
	case <-d.done:
	default:
		if !d.ended.Load() {
			d.end(exitInterrupted)
		}
	}
}

func (d *drainer) stop() {
	signal.Stop(d.signals)
	signal.Stop(d.unread)
	close(d.done)
	d.cancel()
}

// takeOver makes the first signal a request to drain: the channel is closed
// then, and the context ends only with the second. One verb calls it once.
func (d *drainer) takeOver() <-chan struct{} {
	close(d.wanted)
	signal.Notify(d.unread, syscall.SIGPIPE)
	return d.asked
}

// printJSON writes one JSON object on one line of standard output.
func (a *app) printJSON(v any) error {
	a.printed = true
	return writeJSON(a.stdout, v)
}

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	if err == nil {
		_, err = w.Write(visible(b.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// visible writes what a terminal would obey and JSON leaves as it is (DEL, C1, the
// direction of writing) as escapes, which say the same to every reader of JSON.
func visible(data []byte) []byte {
	if !bytes.ContainsFunc(data, obeyed) {
		return data
	}
	var b []byte
	for _, r := range string(data) {
		if !obeyed(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
	}
	return b
}

func obeyed(r rune) bool { return r >= 0x7f && object.Printable(string(r)) != string(r) }

// table starts a table on w; Flush ends it.
func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 2, 0, 2, ' ', 0) }
