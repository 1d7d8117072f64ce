package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/resealhq/reseal/engine/object"
)

// Standing is where a job is in time: what the last process that planned it or
// worked on it did, how fast, and why that ended or waits.
type Standing struct {
	// State is planned, running, waiting, stopped or finished.
	State string `json:"state,omitempty"`
	// Began and Ended are the last process's. One that began and has no end was
	// killed, or is at work.
	Began          time.Time `json:"began,omitzero"`
	Ended          time.Time `json:"ended,omitzero"`
	ElapsedSeconds float64   `json:"elapsed_seconds"`
	// ETASeconds is by the last minute's rate; there is none while nothing moves.
	ETASeconds *float64 `json:"eta_seconds,omitempty"`
	// ObjectsPerSecond and BytesPerSecond are the last minute's.
	ObjectsPerSecond float64 `json:"objects_per_second"`
	BytesPerSecond   float64 `json:"bytes_per_second"`
	// Cause is why it stopped or waits; nil where it does neither.
	Cause *StopCause `json:"cause,omitempty"`
	// PID, Host, User and Version are of the last process.
	PID     int    `json:"pid,omitempty"`
	Host    string `json:"host,omitempty"`
	User    string `json:"user,omitempty"`
	Version string `json:"reseal,omitempty"`
	// Identity is whoever signed its requests, as AWS's STS told it.
	Identity string `json:"identity,omitempty"`
}

// The states of a job.
const (
	StatePlanned  = "planned"
	StateRunning  = "running"
	StateWaiting  = "waiting"
	StateStopped  = "stopped"
	StateFinished = "finished"
)

// StopCause is why a job stopped or waits: a word for programs, and a sentence.
type StopCause struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

// When is begin, end and how long in words; empty where nothing is known of them.
func (s *Standing) When() string {
	if s.Began.IsZero() {
		return ""
	}
	text := "began " + clock(s.Began)
	if !s.Ended.IsZero() {
		text += ", ended " + clock(s.Ended)
	}
	return text + ", " + s.took()
}

func (s *Standing) took() string { return roundETA(s.ElapsedSeconds).String() }

// Rate is the last minute's in words; empty where nothing moved and nothing is at work.
func (s *Standing) Rate() string {
	if s.ObjectsPerSecond == 0 && s.BytesPerSecond == 0 && s.State != StateRunning {
		return ""
	}
	return humanize.CommafWithDigits(s.ObjectsPerSecond, 1) + " objects/s, " + iBytes(int64(s.BytesPerSecond)) + "/s"
}

// ETA is how long it still takes, in words.
func (s *Standing) ETA() string {
	if s.ETASeconds == nil {
		return "not known"
	}
	return roundETA(*s.ETASeconds).String()
}

// Why is the cause in one line; empty where there is none.
func (s *Standing) Why() string {
	if s.Cause == nil {
		return ""
	}
	return s.Cause.Class + ": " + object.Printable(oneLine(s.Cause.Message))
}

// facts are when and why as lines of a job's description.
func (s *Standing) facts() (facts []Fact) {
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, Fact{name, value})
		}
	}
	add("State", s.State)
	add("Why", s.Why())
	if !s.Began.IsZero() {
		add("Last run", s.When())
		add("Last minute", s.Rate())
		who := s.User
		if s.Host != "" {
			who += " on " + s.Host
		}
		add("By", who)
		add("As", s.Identity)
		add("reseal", s.Version)
	}
	return facts
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// writeText writes when and why, for a terminal.
func (s *Standing) writeText(b *strings.Builder) {
	if when := s.When(); when != "" {
		fmt.Fprintf(b, "%s: %s", s.State, when)
		if rate := s.Rate(); rate != "" {
			fmt.Fprintf(b, "; in the last minute %s", rate)
		}
		b.WriteString("\n")
	}
	if why := s.Why(); why != "" {
		fmt.Fprintf(b, "why it %s: %s\n", map[bool]string{true: "waits", false: "stopped"}[s.State == StateWaiting], why)
	}
}
