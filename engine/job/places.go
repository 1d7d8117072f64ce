package job

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner/listing"
)

// PlaceFound is one place of a job that has several, as it was found when the job began.
type PlaceFound struct {
	Place
	// ReplicaOf is the place that is replicated here, where it was not named itself.
	ReplicaOf string `json:"replica_of,omitempty"`
	// Unread is why the job does nothing there; empty where it has shards.
	Unread string `json:"unread,omitempty"`
	// Learnt is what the shards of the place stand on.
	Learnt *learnt `json:"learnt,omitempty"`
}

// placesAtOnce is how many are asked about at a time: each is asked some dozens of
// requests one after another.
const placesAtOnce = 8

// Unread are the places of the job that could not be taken when it began, and why. The
// job does nothing there.
func (j *Job) Unread() (out []PlaceFound) {
	if j.Division == nil {
		return nil
	}
	for _, p := range j.Division.Places {
		if p.Unread != "" {
			out = append(out, p)
		}
	}
	return out
}

// dividedWhereMany divides a job of several places that nobody has divided: each gets one
// shard. It is where Run and Plan begin.
func (j *Job) dividedWhereMany(ctx context.Context, opt *Options) error {
	if j.home.isGivenUp() {
		return errForsaken
	}
	if j.Division != nil || !j.Spec.Source.many() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	divided := make(chan struct{})
	defer close(divided)
	go func() {
		select {
		case <-opt.Stop:
			cancel()
		case <-divided:
		}
	}()
	_, err := j.Divide(ctx, 0, *opt)
	return err
}

// dividePlaces asks about each place, and gives it a shard or more of its own. A place
// that cannot be taken is noted with the reason, and is not the end; where none can, the
// first reason is.
func (s *session) dividePlaces(ctx context.Context, n int) (*Division, error) {
	places, err := s.job.Spec.Source.places(ctx, s.store)
	if err != nil {
		return nil, err
	}
	replicaOf, err := s.pairs(ctx, &places)
	if err != nil {
		return nil, err
	}
	if n > 0 && n < len(places) {
		return nil, unusablef("leave the number out, or ask for more", "%d shards were asked for, and there are %d places, each of which needs one of its own", n, len(places))
	}
	found, pieces, errs := make([]PlaceFound, len(places)), make([][]listing.Piece, len(places)), make([]error, len(places))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(placesAtOnce)
	for i, p := range places {
		share := max(1, n/len(places))
		if i < n%len(places) && n > len(places) {
			share++
		}
		g.Go(func() error {
			found[i].Place, found[i].ReplicaOf = p, replicaOf[p]
			at := s.at(p)
			if errs[i] = at.listable(gctx); errs[i] == nil {
				errs[i] = at.learn(gctx)
			}
			if errs[i] == nil {
				pieces[i] = []listing.Piece{{}}
				if share > 1 {
					pieces[i], errs[i] = at.pieces(gctx, share)
				}
			}
			switch {
			case errs[i] == nil:
				found[i].Learnt = &at.learnt
			case gctx.Err() == nil && found[i].ofPlace(errs[i]):
				s.log.Warn("this place cannot be taken; the job is about the others", "source", p.String(), "error", errs[i])
				found[i].Unread = errs[i].Error()
			case s.job.Spec.Source.endsWith(gctx, errs[i]):
				return errs[i]
			default:
				s.log.Warn("this place cannot be taken; the job is about the others", "source", p.String(), "error", errs[i])
				found[i].Unread = errs[i].Error()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s.otherReplicaKeys(ctx, found)
	d := byPlaces(found, pieces)
	if len(d.Shards) == 0 {
		return nil, cmp.Or(errs...)
	}
	if len(d.Shards) != n {
		d.Asked = n
	}
	return d, nil
}

// places are those that are named, or the buckets of the account.
func (src *Source) places(ctx context.Context, store *s3store.Store) ([]Place, error) {
	if !src.AllBuckets {
		return src.Several, nil
	}
	names, err := store.Buckets(ctx)
	if err != nil {
		return nil, err
	}
	places := meant(names, src.Buckets)
	if len(places) == 0 {
		return nil, unusablef("correct the patterns, or name the buckets", "none of the account's %d buckets is meant", len(names))
	}
	return places, nil
}

// listable asks for one row: a place that cannot be listed is better known before the job
// begins than in the middle of it.
func (s *session) listable(ctx context.Context) error {
	src := &s.job.Spec.Source
	reads := readsOf(s.store, pace.New(s.opt.pace()), src.Bucket, s.opt.Log)
	return reads.Do(ctx, object.Call{Kind: object.ReqList}, func(ctx context.Context) error {
		_, err := s.store.ListPage(ctx, object.ListRequest{Bucket: src.Bucket, Prefix: src.Prefix, MaxKeys: 1})
		return err
	})
}

// at is the session as if the job had this place only.
func (s *session) at(p Place) *session {
	one := *s.job
	one.Spec.Source = p.source()
	return &session{job: &one, opt: s.opt, dir: s.dir, log: s.log, store: s.store, hot: s.hot, to: s.to, toHot: s.toHot, place: &p}
}

// probeNote is where the name of the canary's throwaway objects is noted. Places are asked
// about at the same time, and have a note each.
func (s *session) probeNote() string {
	name := probeName
	if s.place != nil {
		sum := sha256.Sum256([]byte(s.place.String()))
		name += "." + hex.EncodeToString(sum[:8])
	}
	return filepath.Join(s.dir, name)
}

// endsWith says whether what is asked about all places ends with the error of one: it is
// about the others too, or a bucket was named that is not there, which is a slip of the pen.
func (src *Source) endsWith(ctx context.Context, err error) bool {
	return ctx.Err() != nil || !ofOnePlace(err) || object.ClassOf(err) == object.ClassNoBucket && !src.AllBuckets
}

// ofPlace says whether an error is about the place alone, though its class speaks of all: a
// rule may name a bucket that is gone, and a key can be in another region than one bucket.
func (p *PlaceFound) ofPlace(err error) bool {
	return p.ReplicaOf != "" && object.ClassOf(err) == object.ClassNoBucket || errors.Is(err, s3store.ErrKeyElsewhere)
}

// ofOnePlace says whether an error may be one of this place only, so that the others are
// worth going on with.
func ofOnePlace(err error) bool {
	switch object.ClassOf(err) {
	case object.ClassCredentials, object.ClassUnreachable, object.ClassCanceled, object.ClassFull, object.ClassKey, object.ClassKMSAway:
		return false
	}
	for _, all := range []error{ledger.ErrLost, ErrInterrupted, ErrGivenUp, ErrStopAfter, engine.ErrMaxFailures, retry.ErrStopping, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, all) {
			return false
		}
	}
	var disk *checkpoint.DiskError
	var away *checkpoint.AwayError
	var locked *checkpoint.LockedError
	return !errors.As(err, &disk) && !errors.As(err, &away) && !errors.As(err, &locked)
}

// placeFailed is why a place could not be worked on. Where the others were, it is no refusal
// to begin any more, which would say that nothing was touched.
func (c *crew) placeFailed() error {
	if c.begun {
		return afterBeginning(c.failed)
	}
	return c.failed
}

// byPlaces is the division of several places.
func byPlaces(found []PlaceFound, pieces [][]listing.Piece) *Division {
	d := &Division{Kind: ByBuckets, Places: found}
	for i, place := range found {
		if place.Unread != "" {
			continue
		}
		if len(d.Shards) == 0 {
			d.learnt = *place.Learnt // of the first, where one has to stand for all
		}
		for _, p := range pieces[i] {
			d.Shards = append(d.Shards, Part{Index: len(d.Shards), Bucket: place.Bucket, Prefix: place.Prefix, After: p.After, Through: p.Through, Estimate: uint64(p.Rows)})
		}
	}
	return d
}

// place is where the part lies, of a job that has several.
func (p *Part) place() Place { return Place{p.Bucket, p.Prefix} }

// learntOf is what a shard stands on.
func (d *Division) learntOf(p *Part) *learnt {
	if p != nil && d.Kind == ByBuckets {
		for i := range d.Places {
			if d.Places[i].Place == p.place() {
				return d.Places[i].Learnt
			}
		}
	}
	return &d.learnt
}

// validatePlaces insists that every object of every place that was taken is in exactly one
// shard.
func (d *Division) validatePlaces() error {
	next := 0
	for i, p := range d.Places {
		for _, other := range d.Places[:i] {
			if p.overlaps(other.Place) {
				return fmt.Errorf("%s and %s overlap", other.Place, p.Place)
			}
		}
		if (p.Unread == "") != (p.Learnt != nil) || p.Learnt != nil && p.Learnt.Bucket != p.Bucket {
			return fmt.Errorf("what is known of %s is not whole", p.Place)
		}
		border, ended := "", p.Unread != ""
		for ; next < len(d.Shards) && d.Shards[next].place() == p.Place; next++ {
			s := &d.Shards[next]
			if ended || s.Index != next || s.Files != nil || s.After != border || s.Through != "" && s.Through <= s.After {
				return fmt.Errorf("shard %d does not begin where the one before ends", next)
			}
			border, ended = s.Through, s.Through == ""
		}
		if !ended {
			return fmt.Errorf("the shards of %s do not reach its end", p.Place)
		}
	}
	if next != len(d.Shards) {
		return fmt.Errorf("shard %d is in no place of the job", next)
	}
	return nil
}
