package job

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// residue is what a canary may have left in a bucket when its process died. What
// it says leads to deletions, and the file lies where others may have written, so
// it is believed only where it says what this very job would have written.
type residue struct {
	Endpoint string `json:"endpoint"`
	Bucket   string `json:"bucket"`
	Name     string `json:"name"`
	// Kept are names of earlier canaries, of which an object is there that could not be
	// proved to be theirs.
	Kept []string `json:"kept,omitempty"`
	// For is the digest of the specification that the canary was sent for, or
	// forDoctor.
	For string `json:"for"`
}

// forDoctor marks the note of a doctor: the next one for that bucket may ask for
// another target.
const forDoctor = "doctor"

// maxKept is how many names a note keeps; an older one the log has named.
const maxKept = 8

// maxResidue bounds the file in bytes: a key is at most 1,024.
const maxResidue = 16 << 10

// sweepAgain is how long throwaway objects that could not be removed are tried once more.
const sweepAgain = 30 * time.Second

// probe sends the canary, and remembers in the job directory how its objects are
// named until all of them are gone again, so that a process that dies in between
// leaves nothing behind for good. They may still be going when it returns: see tidied.
func (s *session) probe(ctx context.Context, at s3store.ProbeOptions) (object.Capabilities, error) {
	if err := s.tidied(ctx); err != nil {
		return object.Capabilities{}, err
	}
	path := s.probeNote()
	kept, err := s.sweep(ctx, path, at)
	if err != nil {
		return object.Capabilities{}, err
	}
	ours, err := s.residueOf(at)
	if err != nil {
		return object.Capabilities{}, err
	}
	at.Announce = func(name string) error {
		ours.Name, ours.Kept = name, kept
		return s.keepNote(path, &ours)
	}
	caps, clean, err := s.to.ProbeAhead(ctx, at)
	tidy := func() error {
		err := clean(ctx)
		if err == nil {
			return s.noteOnly(path, &ours, kept)
		}
		// Whoever comes later may be luckier. What opened the job may be over by then.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepAgain)
		defer cancel()
		if _, again := s.sweep(ctx, path, at); again != nil {
			return err // the next run has the note
		}
		return nil
	}
	if err != nil {
		return caps, errors.Join(err, tidy())
	}
	if !s.ahead {
		return caps, tidy()
	}
	s.tidyBehind(tidy)
	return caps, nil
}

// tidyBehind lets throwaway objects go while the job is begun.
func (s *session) tidyBehind(tidy func() error) {
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = tidy()
	}()
	told := false
	s.tidying = func(ctx context.Context) error {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		told = true
		return err
	}
	s.closers = append(s.closers, func() error {
		<-done
		if told {
			return nil
		}
		return err
	})
}

// tidied waits until the throwaway objects of this process are gone, and says why some
// are not. Nothing is planned before.
func (s *session) tidied(ctx context.Context) error {
	if s.tidying == nil {
		return nil
	}
	return s.tidying(ctx)
}

// noteOnly makes a note tell of what earlier canaries have left; of nothing, there is none.
func (s *session) noteOnly(path string, r *residue, kept []string) error {
	if len(kept) == 0 {
		return s.dropNote(path)
	}
	last := len(kept) - 1
	r.Name, r.Kept = kept[last], kept[:last]
	return s.keepNote(path, r)
}

// keepNote writes a note durably, before what it tells of is there.
func (s *session) keepNote(path string, r *residue) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	err = writeFile(path, data)
	if h := s.job.home; err == nil && h != nil {
		err = h.push(h.ctx, h.relative(path))
	}
	return err
}

// dropNote takes a note away, when nothing is there any more.
func (s *session) dropNote(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if h := s.job.home; err == nil && h != nil {
		err = h.push(h.life, h.relative(path))
	}
	return err
}

// residueOf is what this job notes of its canary, but for the name.
func (s *session) residueOf(at s3store.ProbeOptions) (residue, error) {
	r := residue{Endpoint: s.to.Endpoint(), Bucket: at.Bucket, For: forDoctor}
	if s.doctor {
		return r, nil
	}
	digest, err := s.job.frozenDigest()
	r.For = hex.EncodeToString(digest[:])
	return r, err
}

// sweepDead removes what a doctor for the same buckets left, wherever below them
// it probed.
func (s *session) sweepDead(ctx context.Context, path string) error {
	r, err := readResidue(path)
	if err != nil {
		_, err = s.sweep(ctx, path, s3store.ProbeOptions{}) // says what is wrong with it
		return err
	}
	at := s3store.ProbeOptions{Bucket: s.job.Spec.Source.Bucket, Prefix: s3store.CanaryPrefix(r.Name)}
	if dest := s.job.Spec.Target.DestBucket; dest != "" && dest == r.Bucket {
		at.Bucket = dest
	}
	_, err = s.sweep(ctx, path, at)
	return err
}

// sweep removes what earlier canaries of this job left. A note that this job cannot have
// written is refused: nothing is deleted because of it. kept are the names of those of
// which something stays; the note tells of them still.
func (s *session) sweep(ctx context.Context, path string, at s3store.ProbeOptions) (kept []string, err error) {
	r, err := readResidue(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	const fix = "nothing was deleted. Look for keys with .reseal-canary- in the bucket that it names, delete them if they are yours, and remove the file"
	if err != nil {
		return nil, unusableBecause(err, "the file "+s.job.shown(path)+" is no note of this job on its throwaway objects", fix)
	}
	ours, err := s.residueOf(at)
	if err != nil {
		return nil, err
	}
	ours.Name, ours.Kept = r.Name, r.Kept
	names := append(slices.Clone(r.Kept), r.Name)
	if !reflect.DeepEqual(*r, ours) || slices.ContainsFunc(names, func(name string) bool { return !s3store.IsCanary(at.Prefix, name) }) {
		return nil, unusablef(fix, "the file %s names throwaway objects that this job cannot have made: %q in bucket %q at %q", s.job.shown(path), names, r.Bucket, r.Endpoint)
	}
	facts, err := s.to.BucketFacts(ctx, r.Bucket)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		left, err := s.to.Sweep(ctx, r.Bucket, at.Prefix, name, facts)
		if err != nil {
			return nil, err
		}
		for _, o := range left {
			s.log.Warn("this object is named like a throwaway object of this job, and locked as the job locks none: it stays. "+
				"Look at it, and delete it if it may go; a later run that has work to do looks at it again", "object", o.Ref.String(), "mode", o.Mode, "until", o.Until)
		}
		if len(left) > 0 {
			kept = append(kept, name)
		}
	}
	kept = kept[max(0, len(kept)-maxKept):]
	return kept, s.noteOnly(path, r, kept)
}

// readResidue reads a note, if it is a file that only this user can have written.
func readResidue(path string) (*residue, error) {
	data, err := readPlain(path, onlyOurs, maxResidue)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	r := new(residue)
	return r, d.Decode(r)
}
