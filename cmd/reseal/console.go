package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

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

// showProgress draws a bar on a terminal and prints a line every 30 s elsewhere,
// until the function that it returns is called.
func (c *console) showProgress(p *report.Progress, o *outputFlags) (end func()) {
	if o.quiet || o.noProgress {
		return func() {}
	}
	printer, every := report.Printer(withoutEnd{report.Lines(c)}), 30*time.Second
	if f, ok := c.w.(interface{ Fd() uintptr }); ok && term.IsTerminal(int(f.Fd())) {
		printer, every = report.Bar(barWriter{c}), 200*time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	var shown sync.WaitGroup
	shown.Go(func() { p.Show(ctx, every, printer) })
	return sync.OnceFunc(func() { cancel(); shown.Wait() })
}

// withoutEnd leaves the last word to the summary.
type withoutEnd struct{ report.Printer }

func (w withoutEnd) Print(s *report.Snapshot) {
	if !s.Final {
		w.Printer.Print(s)
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
	bar := ok && term.IsTerminal(int(f.Fd()))
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
