package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestConsoleTakesWarningsOnly(t *testing.T) {
	t.Parallel()
	var out outputFlags
	out.logFormat.value, out.logLevel.value = "text", "debug"
	var file, console bytes.Buffer
	for _, log := range []*slog.Logger{slog.New(out.logFile(&file)), out.log(&console)} {
		log.With("seq", 7).Debug("quiet word")
		log.WithGroup("store").Warn("loud word", slog.String("class", "throttled"))
	}
	if !strings.Contains(file.String(), "quiet word") || !strings.Contains(file.String(), "store.class=throttled") {
		t.Errorf("the log holds %q", file.String())
	}
	if strings.Contains(console.String(), "quiet word") || !strings.Contains(console.String(), "loud word") {
		t.Errorf("the console got %q", console.String())
	}
}
