package main

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// log is what a person is told while a verb works: warnings and errors.
func (o *outputFlags) log(console io.Writer) *slog.Logger {
	if o.quiet {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(o.consoleHandler(console))
}

func (o *outputFlags) consoleHandler(w io.Writer) slog.Handler {
	level := max(slog.LevelWarn, o.level())
	if o.logFormat.value == "json" {
		return o.handler(w, level)
	}
	return &sentenceHandler{w: w, level: level}
}

// sentenceHandler writes records for a person at a terminal: no time, no quotes
// where none are needed.
type sentenceHandler struct {
	w     io.Writer
	level slog.Level
	attrs string
	group string
}

func (h *sentenceHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *sentenceHandler) Handle(_ context.Context, r slog.Record) error {
	text := "reseal: " + strings.ToLower(r.Level.String()) + ": " + inFlags(r.Message) + h.attrs
	r.Attrs(func(a slog.Attr) bool { text += h.attr(a); return true })
	_, err := io.WriteString(h.w, object.Printable(strings.ReplaceAll(text, "\n", " "))+"\n")
	return err
}

func (h *sentenceHandler) attr(a slog.Attr) string {
	return "; " + h.group + a.Key + ": " + a.Value.Resolve().String()
}

func (h *sentenceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	for _, a := range attrs {
		n.attrs += h.attr(a)
	}
	return &n
}

func (h *sentenceHandler) WithGroup(name string) slog.Handler {
	n := *h
	n.group += name + "."
	return &n
}

func (o *outputFlags) handler(w io.Writer, level slog.Level) slog.Handler {
	opts := &slog.HandlerOptions{Level: level}
	if o.logFormat.value == "json" {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

// logFile makes the handler of a job's own log: everything from the level on.
func (o *outputFlags) logFile(w io.Writer) slog.Handler { return o.handler(w, o.level()) }
