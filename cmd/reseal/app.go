package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
)

// app is what the verbs share: where they read and write, and how a person
// stops them.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// drain is closed by the first signal when a verb has asked to drain.
	drain *drainer
}

// drainer turns the first signal into a request to finish what is in flight,
// and the second into the end of the context.
type drainer struct {
	now     context.Context // ends at once: the second signal, or the first where nothing drains
	cancel  context.CancelFunc
	asked   chan struct{} // closed by the first signal
	wanted  chan struct{} // closed when a verb has taken over the first signal
	signals chan os.Signal
	done    chan struct{}
}

// watchSignals starts to listen; stop ends it.
func (a *app) watchSignals() *drainer {
	ctx, cancel := context.WithCancel(context.Background())
	d := &drainer{
		now: ctx, cancel: cancel,
		asked: make(chan struct{}), wanted: make(chan struct{}),
		signals: make(chan os.Signal, 2), done: make(chan struct{}),
	}
	signal.Notify(d.signals, os.Interrupt, syscall.SIGTERM)
	a.drain = d
	go d.watch()
	return d
}

func (d *drainer) watch() {
	first := true
	for {
		select {
		case <-d.done:
			return
		case <-d.signals:
		}
		if first {
			first = false
			close(d.asked)
			select {
			case <-d.wanted:
				continue // somebody drains; the next signal ends it
			default:
			}
		}
		d.cancel()
	}
}

func (d *drainer) stop() {
	signal.Stop(d.signals)
	close(d.done)
	d.cancel()
}

// takeOver makes the first signal a request to drain: the channel is closed
// then, and the context ends only with the second. One verb calls it once.
func (d *drainer) takeOver() <-chan struct{} {
	close(d.wanted)
	return d.asked
}

// printJSON writes one JSON object on one line of standard output.
func (a *app) printJSON(v any) error { return writeJSON(a.stdout, v) }

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// table starts a table on w; Flush ends it.
func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 2, 0, 2, ' ', 0) }
