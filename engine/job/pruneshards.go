package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
)

// pruneShards is Prune of a divided job: one shard after another, each with its own record.
// A shard that nobody has taken left none behind, nor did one whose rows tell of none. One of
// a bucket that did not keep versions when the job began, and does not now, keeps them:
// nobody can prove them.
// Where a place cannot be looked at, the others are, and the error comes at the end.
func (j *Job) pruneShards(ctx context.Context, opt PruneOptions) (*Pruned, error) {
	all := &Pruned{Job: j.Dir, Dry: !opt.Delete, Noncurrent: opt.Noncurrent != nil, Reasons: map[string]uint64{}, Complete: true}
	began := time.Now()
	defer func() { all.Seconds = time.Since(began).Seconds() }()
	var failed, none error
	rows := opt.Rows
	taken, err := j.takenEarlier(ctx, &opt)
	if err != nil {
		return nil, err
	}
	for i, shard := range j.parts() {
		was := j.Division.learntOf(shard.Part)
		noneKept := opt.Noncurrent == nil && was.Facts.Versioning != object.VersioningEnabled // when the job began, none were
		var old uint64
		if noneKept {
			var err error
			switch old, err = shard.oldVersions(); {
			case err != nil:
				failed, all.Complete = errors.Join(failed, err), false
				continue
			case old == 0:
				none = leftNone(was)
				continue
			}
		}
		opt.Rows = rows
		of, may := opt.share(taken, i)
		if !may {
			continue
		}
		one, err := shard.Prune(ctx, of)
		if noneKept && errors.Is(err, errKeepsNone) && j.Division.Kind == ByBuckets {
			all.keepAll(old, was)
			err = nil
		}
		if errors.Is(err, checkpoint.ErrNoStore) {
			if opt.Noncurrent != nil { // its versions are there all the same
				failed, all.Complete = errors.Join(failed, fmt.Errorf("shard %d was not begun, so that what it holds was not looked at; run it first", shard.Part.Index)), false
			}
			continue
		}
		if one != nil {
			all.add(one)
			if taken != nil {
				taken[i] = max(taken[i], one.Versions)
			}
			if rows != nil {
				rows = &headless{w: rows}
			}
		}
		if err != nil {
			all.Complete = false
			failed = errors.Join(failed, err)
			if j.Division.Kind != ByBuckets || errors.Is(err, errDoubt) || !ofOnePlace(err) || ctx.Err() != nil {
				break
			}
		}
	}
	if failed == nil && all.Versions == 0 && j.Division.Kind != ByBuckets {
		failed = none
	}
	if failed != nil && all.Versions == 0 {
		return nil, failed
	}
	if all.Deleted > all.Earlier {
		failed = afterBeginning(failed)
	}
	return all, failed
}

// takenEarlier is how many versions earlier prunes took of each shard, or may have taken, where
// there is a limit, which is that of all together.
func (j *Job) takenEarlier(ctx context.Context, opt *PruneOptions) ([]uint64, error) {
	if opt.Noncurrent == nil || opt.Noncurrent.Limit == 0 {
		return nil, nil
	}
	taken := make([]uint64, 0, len(j.Division.Shards))
	for _, shard := range j.parts() {
		n, err := shard.versionsTaken(ctx)
		if err != nil {
			return nil, err
		}
		taken = append(taken, n)
	}
	return taken, nil
}

func (j *Job) versionsTaken(ctx context.Context) (n uint64, err error) {
	if j.home != nil {
		if err := os.MkdirAll(j.local, 0o700); err != nil {
			return 0, jobUnusable(err)
		}
		if _, err := j.copyRecord(ctx, pruneVersionsName, nil); err != nil {
			return 0, err
		}
	}
	r, err := openVersionRecord(j, false)
	if err != nil {
		return 0, err
	}
	err = r.earlier(func(*candidate) { n++ })
	return n + uint64(len(r.open)), errors.Join(err, r.Close())
}

// share is what a shard is pruned by where so many versions were taken of each. may is false where
// nothing may be taken of it.
func (o PruneOptions) share(taken []uint64, shard int) (_ PruneOptions, may bool) {
	if taken == nil {
		return o, true
	}
	rest := *o.Noncurrent
	for i, n := range taken {
		if i != shard {
			rest.Limit -= int64(min(n, uint64(rest.Limit)))
		}
	}
	o.Noncurrent = &rest
	return o, rest.Limit > 0
}

// oldVersions counts the old versions of which the rows of a shard tell.
func (j *Job) oldVersions() (uint64, error) {
	points, _, err := j.openReader()
	if errors.Is(err, checkpoint.ErrNoStore) {
		return 0, nil
	}
	if err != nil {
		return 0, jobUnusable(err)
	}
	return points.Totals().OldVersions.Objects, points.Close()
}

// keepAll counts the old versions of a shard as kept.
func (p *Pruned) keepAll(n uint64, was *learnt) {
	p.add(&Pruned{Versions: n, Kept: n, Reasons: map[string]uint64{KeptVersioning: n}, Examples: []Finding{{"s3://" + was.Bucket,
		KeptVersioning + ": versioning was " + was.Facts.Versioning.String() + " when the job began and is not enabled now, so that none of its old versions can be named for certain"}}})
}

func (p *Pruned) add(o *Pruned) {
	p.Versions += o.Versions
	p.WouldDelete += o.WouldDelete
	p.Deleted += o.Deleted
	p.Earlier += o.Earlier
	p.Gone += o.Gone
	p.Kept += o.Kept
	p.Failed += o.Failed
	p.Bytes += o.Bytes
	for reason, n := range o.Reasons {
		p.Reasons[reason] += n
	}
	p.Examples = append(p.Examples, o.Examples...)
	p.Examples = p.Examples[:min(len(p.Examples), maxExamples)]
}

// headless passes a table on without its first line: those of all shards have one head.
type headless struct {
	w     io.Writer
	began bool
}

func (h *headless) Write(b []byte) (int, error) {
	rest := b
	if !h.began {
		_, after, found := bytes.Cut(b, []byte("\n"))
		if !found {
			return len(b), nil
		}
		h.began, rest = true, after
	}
	if _, err := h.w.Write(rest); err != nil {
		return 0, err
	}
	return len(b), nil
}
