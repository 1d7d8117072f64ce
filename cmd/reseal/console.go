package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// console is standard error, where log lines and the progress bar meet: a line
// takes the bar away first, and the bar comes back with its next drawing.
type console struct {
	w io.Writer

	mu struct {
		sync.Mutex
		bar bool // a bar stands on the last line
	}
}

// Write prints whole lines.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.bar {
		if _, err := io.WriteString(c.w, "\r\x1b[K"); err != nil {
			return 0, err
		}
		c.mu.bar = false
	}
	return c.w.Write(p)
}

// barWriter draws the bar.
type barWriter struct{ c *console }

func (b barWriter) Write(p []byte) (int, error) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	b.c.mu.bar = true
	return b.c.w.Write(p)
}

// Fd lets the printer ask for the terminal's width.
func (b barWriter) Fd() uintptr {
	if f, ok := b.c.w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// When what is no terminal gets a line: a first one soon, and then seldom.
const (
	firstLine = 1500 * time.Millisecond
	everyLine = 30 * time.Second
)

// showProgress draws a bar on a terminal that can show one, and prints lines
// elsewhere, until the function that it returns is called.
func (c *console) showProgress(p *report.Progress, o *outputFlags) (end func()) {
	if o.quiet || o.noProgress {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var shown sync.WaitGroup
	shown.Go(func() {
		if width := terminalWidth(c.w); width >= report.NarrowTerminal && os.Getenv("TERM") != "dumb" {
			p.Show(ctx, 200*time.Millisecond, withoutEnd{report.Bar(barWriter{c})})
			return
		}
		select {
		case <-time.After(firstLine):
			p.Show(ctx, everyLine, withoutEnd{report.Lines(c)})
		case <-ctx.Done():
		}
	})
	return sync.OnceFunc(func() { cancel(); shown.Wait() })
}

// beginning says, where it takes long, that the store is being asked what it does:
// a canary is a few hundred requests, and the first progress comes after it.
func (c *console) beginning(dir string, o *outputFlags) (end func()) {
	if o.quiet || o.noProgress {
		return func() {}
	}
	t := time.AfterFunc(firstLine, func() {
		fmt.Fprintf(c, "%s %s: reading the settings of the bucket and asking the store what it does\n", time.Now().Format(time.RFC3339), object.Printable(dir))
	})
	return func() { t.Stop() }
}

// answer tells a person, as soon as the first signal has come, what is still on its
// way and how to stop at once.
func (d *drainer) answer(c *console, o *outputFlags, r *job.Running) (end func()) {
	done := make(chan struct{})
	var answering sync.WaitGroup
	answering.Go(func() {
		select {
		case <-d.asked:
		case <-done:
			return
		}
		if o.quiet {
			return
		}
		n := r.Pace().InFlight
		fmt.Fprintf(c, "reseal: told to stop: %s on the way (waited for and proved, as long as the store answers anybody), and nothing new is begun. "+
			"The same signal again (Ctrl-C) stops at once, and then the next run asks first what became of them\n", report.Count(uint64(n), "request"))
	})
	return sync.OnceFunc(func() { close(done); answering.Wait() })
}

// withoutEnd leaves the last word to the summary, and takes a bar away for it.
type withoutEnd struct{ report.Printer }

func (w withoutEnd) Print(s *report.Snapshot) {
	if !s.Final {
		w.Printer.Print(s)
		return
	}
	if bar, ok := w.Printer.(interface{ Clear() }); ok {
		bar.Clear()
	}
}

// showCount tells one growing number: in place on a terminal, as a line every
// 30 s elsewhere.
func (c *console) showCount(n *counting, o *outputFlags) (end func()) {
	if o.quiet || o.noProgress {
		return func() {}
	}
	every, begin, stop := 30*time.Second, "", "\n"
	f, ok := c.w.(interface{ Fd() uintptr })
	bar := ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	if bar {
		every, begin, stop = 200*time.Millisecond, "\r\x1b[K", ""
	}
	done := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() {
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				fmt.Fprintf(barWriter{c}, "%s%s %s%s", begin, humanize.Comma(n.n.Load()), n.what, stop)
			case <-done:
				if bar {
					_, _ = io.WriteString(c.w, begin)
				}
				return
			}
		}
	})
	return sync.OnceFunc(func() { close(done); shown.Wait() })
}

// terminalWidth is how many characters fit on a line, 0 where w is no terminal.
func terminalWidth(w io.Writer) int {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}
