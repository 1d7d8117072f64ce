package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
)

// pruneShards is Prune of a divided job: one shard after another, each with its own record.
// A shard that nobody has taken left none behind. One of a bucket that did not keep versions
// when the job began, and has old ones all the same, since its versioning was suspended, keeps
// them: nobody can prove them.
// Where a place cannot be looked at, the others are, and the error comes at the end.
func (j *Job) pruneShards(ctx context.Context, opt PruneOptions) (*Pruned, error) {
	all := &Pruned{Job: j.Dir, Dry: !opt.Delete, Noncurrent: opt.Noncurrent != nil, Reasons: map[string]uint64{}, Complete: true}
	began := time.Now()
	defer func() { all.Seconds = time.Since(began).Seconds() }()
	var failed error
	rows := opt.Rows
	for _, shard := range j.parts() {
		if was := j.Division.learntOf(shard.Part); opt.Noncurrent == nil && j.Division.Kind == ByBuckets && was.Facts.Versioning != object.VersioningEnabled {
			if err := all.keepAll(shard, &was.Facts, was.Bucket); err != nil {
				failed, all.Complete = errors.Join(failed, err), false
			}
			continue
		}
		opt.Rows = rows
		one, err := shard.Prune(ctx, opt)
		if errors.Is(err, checkpoint.ErrNoStore) {
			if opt.Noncurrent != nil { // its versions are there all the same
				failed, all.Complete = errors.Join(failed, fmt.Errorf("shard %d was not begun, so that what it holds was not looked at; run it first", shard.Part.Index)), false
			}
			continue
		}
		if one != nil {
			all.add(one)
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
	if failed != nil && all.Versions == 0 {
		return nil, failed
	}
	return all, failed
}

// keepAll counts the old versions of a shard as kept.
func (p *Pruned) keepAll(shard *Job, facts *object.BucketFacts, bucket string) error {
	points, _, err := shard.openReader()
	if errors.Is(err, checkpoint.ErrNoStore) {
		return nil
	}
	if err != nil {
		return jobUnusable(err)
	}
	n := points.Totals().OldVersions.Objects
	if n > 0 {
		p.add(&Pruned{Versions: n, Kept: n, Reasons: map[string]uint64{KeptVersioning: n}, Examples: []Finding{{"s3://" + bucket,
			KeptVersioning + ": versioning was " + facts.Versioning.String() + " when the job began, so that none of its old versions can be named for certain"}}})
	}
	return points.Close()
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
