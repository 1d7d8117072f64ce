package job

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

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
	// For is the digest of the specification that the canary was sent for, or
	// forDoctor.
	For string `json:"for"`
}

// forDoctor marks the note of a doctor: the next one for that bucket may ask for
// another target.
const forDoctor = "doctor"

// maxResidue bounds the file in bytes: a key is at most 1,024.
const maxResidue = 16 << 10

// probe sends the canary, and remembers in the job directory how its objects are
// named until all of them are gone again, so that a process that dies in between
// leaves nothing behind for good. They may still be going when it returns: see tidied.
func (s *session) probe(ctx context.Context, at s3store.ProbeOptions) (object.Capabilities, error) {
	if err := s.tidied(ctx); err != nil {
		return object.Capabilities{}, err
	}
	path := s.probeNote()
	if err := s.sweep(ctx, path, at); err != nil {
		return object.Capabilities{}, err
	}
	ours, err := s.residueOf(at)
	if err != nil {
		return object.Capabilities{}, err
	}
	at.Announce = func(name string) error {
		ours.Name = name
		data, err := json.Marshal(ours)
		if err != nil {
			return err
		}
		return s.keepNote(path, data)
	}
	caps, clean, err := s.to.ProbeAhead(ctx, at)
	tidy := func() error {
		if err := clean(ctx); err != nil { // whoever comes later may be luckier
			return errors.Join(err, s.sweep(ctx, path, at))
		}
		return s.dropNote(path)
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

// keepNote writes a note durably, before what it tells of is there.
func (s *session) keepNote(path string, data []byte) error {
	err := writeFile(path, data)
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
		return s.sweep(ctx, path, s3store.ProbeOptions{}) // says what is wrong with it
	}
	at := s3store.ProbeOptions{Bucket: s.job.Spec.Source.Bucket, Prefix: s3store.CanaryPrefix(r.Name)}
	if dest := s.job.Spec.Target.DestBucket; dest != "" && dest == r.Bucket {
		at.Bucket = dest
	}
	return s.sweep(ctx, path, at)
}

// sweep removes what an earlier canary of this job left. A note that this job
// cannot have written is refused: nothing is deleted because of it.
func (s *session) sweep(ctx context.Context, path string, at s3store.ProbeOptions) error {
	r, err := readResidue(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	const fix = "nothing was deleted. Look for keys with .reseal-canary- in the bucket that it names, delete them if they are yours, and remove the file"
	if err != nil {
		return unusableBecause(err, "the file "+path+" is no note of this job on its throwaway objects", fix)
	}
	ours, err := s.residueOf(at)
	if err != nil {
		return err
	}
	ours.Name = r.Name
	if *r != ours || !s3store.IsCanary(at.Prefix, r.Name) {
		return unusablef(fix, "the file %s names throwaway objects that this job cannot have made: %q in bucket %q at %q", path, r.Name, r.Bucket, r.Endpoint)
	}
	facts, err := s.to.BucketFacts(ctx, r.Bucket)
	if err != nil {
		return err
	}
	if err := s.to.Sweep(ctx, r.Bucket, at.Prefix, r.Name, facts); err != nil {
		return err
	}
	return s.dropNote(path)
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
