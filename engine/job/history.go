package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// history is history.jsonl: how the runs of a job went, a moment a line, for the
// pictures of its report. It is no truth about any object. It stays small: when it is
// full every second moment goes, and new ones are as far apart as those that are left.
type history struct {
	job     *Job
	log     *slog.Logger
	took    *latencies
	moments []report.Moment
	every   time.Duration
	failed  bool
}

const (
	maxMoments  = 2048
	momentEvery = 2 * time.Second
	historySize = 4 << 20
)

func openHistory(j *Job, took *latencies, log *slog.Logger) *history {
	h := &history{job: j, log: log, took: took, moments: j.History(), every: momentEvery}
	if n := len(h.moments); n > maxMoments/2 {
		h.every = max(momentEvery, h.moments[n-1].At.Sub(h.moments[0].At)/maxMoments)
	}
	return h
}

// History is what is recorded of how the job's runs went, oldest first; empty where
// nothing is.
func (j *Job) History() []report.Moment {
	data, err := readPlain(j.path(historyName), ofUs, historySize)
	if err != nil {
		return nil
	}
	var all []report.Moment
	for line := range bytes.Lines(data) {
		m, ok := momentIn(line)
		if n := len(all); !ok || n > 0 && m.At.Before(all[n-1].At) {
			continue // a crash cut it, or the clock went back
		}
		if all = append(all, m); len(all) == 2*maxMoments {
			break
		}
	}
	return all
}

// A line is a checksum and a moment: one that a disk has changed is not drawn.
func lineOf(m *report.Moment) []byte {
	data, err := json.Marshal(m)
	if err != nil {
		return nil // a time or a figure that JSON cannot tell
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(data), data)
}

func momentIn(line []byte) (m report.Moment, ok bool) {
	sum, data, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	ok = string(sum) == fmt.Sprintf("%08x", crc32.ChecksumIEEE(data)) && json.Unmarshal(data, &m) == nil
	return m, ok
}

// momentOf is what a history keeps of what a process tells.
func momentOf(l *Live) report.Moment {
	p, s := l.Progress, &l.PaceState
	m := report.Moment{At: p.At.Truncate(time.Millisecond), Planned: p.Planned, Done: p.Done, Already: p.Already, Left: p.Left, Failed: p.Failed, Bytes: p.Bytes,
		Requests: s.Rate, Ceiling: s.Allowed, Why: string(s.Why), Throttled: p.Errors[object.ClassThrottled.String()] + p.Errors[object.ClassKMSThrottled.String()]}
	switch l.Stage {
	case "waiting", "paused", "window":
		m.Why = l.Stage
	}
	return m
}

// add keeps a moment if it is time for one. What cannot be written is no reason to
// stop.
func (h *history) add(l *Live) {
	if n := len(h.moments); n > 0 && l.Progress.At.Sub(h.moments[n-1].At) < h.every {
		return
	}
	h.last(l)
}

// last keeps a moment in any case.
func (h *history) last(l *Live) {
	m := momentOf(l)
	m.MedianSeconds, m.SlowSeconds = h.took.take()
	first := len(h.moments) == 0
	if h.moments = append(h.moments, m); len(h.moments) >= maxMoments {
		h.thin()
		return
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if first { // of nothing that could be read
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(h.job.path(historyName), flags|plainly, 0o600)
	if err == nil {
		_, err = f.Write(lineOf(&m))
		err = errors.Join(err, f.Close())
	}
	h.tell(err)
}

func (h *history) thin() {
	half := h.moments[:0]
	for i := 0; i < len(h.moments); i += 2 {
		half = append(half, h.moments[i])
	}
	h.moments, h.every = half, 2*h.every
	var b bytes.Buffer
	for i := range half {
		b.Write(lineOf(&half[i]))
	}
	h.tell(replaceFile(h.job.path(historyName), b.Bytes()))
}

func (h *history) tell(err error) {
	if err != nil && !h.failed {
		h.failed = true
		h.log.Debug("history not written", "error", err)
	}
}
