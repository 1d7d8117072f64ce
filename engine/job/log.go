package job

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"

	"github.com/resealhq/reseal/engine/report"
)

// The log of a job is bounded: it is moved aside at logSize, and logKept older
// files stay, reseal.log.1 the youngest.
const (
	logSize = 32 << 20
	logKept = 3
)

// rotatingFile is an append-only file of bounded size. A full disk loses lines,
// never the run: what could not be written is counted and told with the next
// line that can.
type rotatingFile struct {
	path string
	max  int64

	mu struct {
		sync.Mutex
		file *os.File
		size int64
		lost int
	}
}

func openRotating(path string, max int64) (*rotatingFile, error) {
	r := &rotatingFile{path: path, max: max}
	return r, r.open()
}

// open REQUIRES: r.mu, or r known to nobody else.
func (r *rotatingFile) open() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|plainly, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no ordinary file (%s)", r.path, info.Mode())
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	r.mu.file, r.mu.size = f, info.Size()
	return nil
}

// Write takes one line of the log. It never fails: a run does not stop because
// it cannot talk.
func (r *rotatingFile) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.file == nil || r.mu.size+int64(len(p)) > r.max && r.mu.size > 0 {
		if !r.rotate() {
			r.mu.lost++
			return len(p), nil
		}
	}
	if r.mu.lost > 0 {
		p = append([]byte(fmt.Sprintf("(%s could not be written here)\n", report.Count(uint64(r.mu.lost), "line"))), p...)
	}
	n, err := r.mu.file.Write(p)
	r.mu.size += int64(n)
	if err != nil {
		r.mu.lost++
	} else {
		r.mu.lost = 0
	}
	return len(p), nil
}

// rotate moves the files along and starts a new one. REQUIRES: r.mu.
func (r *rotatingFile) rotate() bool {
	if r.mu.file != nil {
		_ = r.mu.file.Close()
		r.mu.file = nil
		for n := logKept; n > 1; n-- {
			_ = os.Rename(r.path+"."+strconv.Itoa(n-1), r.path+"."+strconv.Itoa(n))
		}
		_ = os.Rename(r.path, r.path+".1")
	}
	return r.open() == nil
}

func (r *rotatingFile) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.file == nil {
		return nil
	}
	err := r.mu.file.Close()
	r.mu.file = nil
	return err
}

// teeHandler gives every record to all of its handlers that want it.
type teeHandler []slog.Handler

func (t teeHandler) Enabled(ctx context.Context, l slog.Level) bool {
	for _, h := range t {
		if h.Enabled(ctx, l) {
			return true
		}
	}
	return false
}

func (t teeHandler) Handle(ctx context.Context, r slog.Record) error {
	for _, h := range t {
		if h.Enabled(ctx, r.Level) {
			_ = h.Handle(ctx, r.Clone()) // the run does not stop because it cannot talk
		}
	}
	return nil
}

func (t teeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return t.each(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (t teeHandler) WithGroup(name string) slog.Handler {
	return t.each(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (t teeHandler) each(f func(slog.Handler) slog.Handler) slog.Handler {
	out := make(teeHandler, len(t))
	for i, h := range t {
		out[i] = f(h)
	}
	return out
}
