package job

import (
	"context"
	"errors"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3store/canary"
)

// ExamineOptions are what an examination takes.
type ExamineOptions struct {
	Options
	// ProbePrefix, where set, asks every question of the canary of any endpoint, AWS
	// included, with throwaway objects whose keys begin with it, in the bucket that the
	// job would write to.
	ProbePrefix string
	// Writing is told in sentences what such a probe will write, before anything is
	// sent that writes.
	Writing func(sentences []string)
}

// Probed is what the canary saw where somebody asked for it.
type Probed struct {
	// Writes is what was told beforehand.
	Writes []string
	// Sent: it was. It is not where the key cannot be used.
	Sent bool
	// Seen and Believed of AWS, and in what they differ.
	Seen, Believed object.Capabilities
	Differences    []canary.Difference
}

// maxProbePrefix leaves room for the rest of a throwaway object's key.
const maxProbePrefix = 900

func (o *ExamineOptions) validate() error {
	if len(o.ProbePrefix) > maxProbePrefix || !utf8.ValidString(o.ProbePrefix) {
		return unusablef("a key has at most 1024 bytes of UTF-8, and the names of throwaway objects begin with the prefix",
			"ExamineOptions.ProbePrefix of %d bytes is no prefix to probe below", len(o.ProbePrefix))
	}
	return nil
}

// ask sends the canary, below the prefix that was asked for where one was, and tells
// what a job would go by: of AWS what is believed, of everybody else what was seen.
func (s *session) ask(ctx context.Context, at s3store.ProbeOptions) (object.Capabilities, error) {
	p := s.probed
	if p == nil {
		caps, err := s.probe(ctx, at)
		if e, ok := errors.AsType[*object.Error](err); ok && !s.doctor && e.Op == "Probe" && e.Class == object.ClassUnsupported {
			err = &UnusableError{What: err.Error(), told: err} // no canary can be sent, and no job goes without
		}
		return caps, err
	}
	at.Prefix = s.examine.ProbePrefix
	p.Writes = at.Writes()
	if s.examine.Writing != nil {
		s.examine.Writing(p.Writes)
	}
	caps, err := s.probe(ctx, at) // asks AWS nothing
	if err != nil {
		return caps, err
	}
	seen := caps
	if caps.IsAWS() {
		at.Always = true
		if seen, err = s.probe(ctx, at); err != nil {
			return caps, err
		}
	}
	p.Sent, p.Seen, p.Believed = true, seen, s3store.Believed(at.Target)
	p.Differences = canary.Differences(&p.Believed, &p.Seen)
	return caps, nil
}

// Missing are the differences in which less was seen than is believed. What a store
// was seen to do beyond that harms no job.
func (p *Probed) Missing() (missing []canary.Difference) {
	for _, d := range p.Differences {
		if d.Believed != object.No.String() {
			missing = append(missing, d)
		}
	}
	return missing
}
