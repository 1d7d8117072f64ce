package job

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/inventory"
	"github.com/resealhq/reseal/planner/listing"
	"github.com/resealhq/reseal/planner/manifest"
)

// Divide begins the job as n shards, which any number of processes on any number of
// machines can work on, each with its own checkpoint. A bucket is divided by contiguous
// ranges of keys, for which a few pages of each are looked at; a manifest by its data
// files. Nothing is listed or read to its end: each shard does that with its own share.
//
// What the store does, what the buckets are set to and what the key is are found out
// here, once, and frozen with the division. A job that has begun cannot be divided anew;
// asked for the same number again it answers with its division. A bucket with few keys
// has fewer shards.
//
// A source of several places is always divided: with 0 for n each has one shard.
func (j *Job) Divide(ctx context.Context, n int, opt Options) (_ *Division, err error) {
	switch {
	case j.Spec.Source.many() && n == 0 && j.Division != nil:
		return j.Division, nil
	case (n < 1 && !j.Spec.Source.many()) || n < 0 || n > maxShards:
		return nil, unusablef(fmt.Sprintf("name a number from 1 to %d", maxShards), "%d shards", n)
	case j.Division != nil && (len(j.Division.Shards) == n || j.Division.Asked == n):
		return j.Division, nil
	case j.begun && j.Division != nil:
		return nil, unusablef("leave the number out, or begin a new job in another directory", "the job in %s has %s, and %d were asked for",
			j.Dir, report.Count(uint64(len(j.Division.Shards)), "shard"), n)
	case j.begun:
		return nil, unusablef("go on with it as it is, or begin a new job in another directory", "the job in %s has begun without shards", j.Dir)
	case j.Spec.Source.Folder != "":
		return nil, unusable("a folder cannot be divided: its files are on one machine", "leave the number of shards out")
	case j.Spec.Selection.Limit > 0:
		return nil, unusable("Selection.Limit cannot be divided: which objects come first is not known before all are listed",
			"leave it out, or name a prefix with fewer objects")
	}
	opt.setDefaults()
	if err := opt.Limits.Validate(); err != nil {
		return nil, err
	}
	s := &session{job: j, opt: &opt, dir: j.local, log: opt.Log}
	defer func() { err = withClose(err, s.Close()) }()
	if err := s.openStore(ctx); err != nil {
		return nil, err
	}
	if j.Spec.Source.Manifest != "" {
		if j.Spec.Source.Manifest == manifest.Stdin {
			return nil, undivided("standard input", "it can be read once, by one process")
		}
		if err := s.openManifest(ctx); err != nil {
			return nil, err
		}
	}
	d, err := s.divideAndLearn(ctx, n)
	if err != nil {
		return nil, err
	}
	if err := d.write(j.path(divisionName)); err != nil {
		return nil, err
	}
	if j.home != nil {
		if err := j.home.keepDivision(ctx, d.digest); err != nil {
			return nil, err
		}
	}
	j.Division = d
	if err := j.freeze(opt.Version); err != nil {
		return nil, err
	}
	j.giveBack()
	return d, nil
}

// divideAndLearn decides who gets what, and finds out what the shards stand on.
func (s *session) divideAndLearn(ctx context.Context, n int) (*Division, error) {
	if s.job.Spec.Source.many() {
		return s.dividePlaces(ctx, n)
	}
	d, err := s.divide(ctx, n)
	if err != nil {
		return nil, err
	}
	if err := s.learn(ctx); err != nil {
		return nil, err
	}
	d.learnt = s.learnt
	return d, nil
}

// divide decides who gets what. Nothing has been asked of the store's abilities yet: a
// source that cannot be divided is the cheaper thing to find out.
func (s *session) divide(ctx context.Context, n int) (*Division, error) {
	if s.manifest != nil {
		files := s.manifest.DataFiles()
		switch {
		case len(files) < 2:
			return nil, undivided(s.manifest.URI, s.manifest.What+": it is one file, and is divided by files only")
		case len(files) < n:
			return nil, undivided(s.manifest.URI, fmt.Sprintf("it has %d data files, and %d shards were asked for", len(files), n))
		}
		return byFiles(files, n), nil
	}
	pieces, err := s.pieces(ctx, n)
	if err != nil {
		return nil, err
	}
	d := byKeys(pieces)
	if len(pieces) < n {
		s.log.Warn("there are fewer keys than shards", "shards", len(pieces), "asked_for", n)
		d.Asked = n
	}
	return d, nil
}

// pieces are ranges of keys, at most n, with about as many objects in each.
func (s *session) pieces(ctx context.Context, n int) ([]listing.Piece, error) {
	src := &s.job.Spec.Source
	reads := readsOf(s.store, pace.New(s.opt.pace()), s.learnt.Bucket, s.opt.Log)
	list := &listing.Source{Lister: s.store, Bucket: src.Bucket, Prefix: src.Prefix, Versions: s.job.Spec.Selection.Versions == "all", Send: reads.Do}
	return list.Divide(ctx, n)
}

func undivided(source, why string) error {
	return unusablef("ask for as many shards as it has data files, or leave them out and run it as one job; a bucket is divided by its keys",
		"the manifest %s cannot be divided so: %s", source, why)
}

// byFiles gives each shard files of about the same size together: the largest first, to
// the shard that has least.
func byFiles(files []inventory.DataFile, n int) *Division {
	d := &Division{Kind: ByFiles, Shards: make([]Part, n)}
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b inventory.DataFile) int { return cmp.Compare(b.Size, a.Size) })
	for _, f := range files {
		least := &d.Shards[0]
		for i := range d.Shards {
			if p := &d.Shards[i]; p.Bytes < least.Bytes || p.Bytes == least.Bytes && len(p.Files) < len(least.Files) {
				least = p
			}
		}
		least.Files, least.Bytes = append(least.Files, f.Key), least.Bytes+max(0, f.Size)
	}
	for i := range d.Shards {
		d.Shards[i].Index = i
	}
	return d
}

// planShards is Plan of a divided job.
func (j *Job) planShards(ctx context.Context, opt *PlanOptions) (*planner.Estimate, error) {
	c, err := j.newCrew(&opt.Options)
	if err != nil {
		return nil, err
	}
	if err := c.refuseBusy(); err != nil {
		return nil, err
	}
	planned := func(t *object.Totals) bool { return t.PlanComplete }
	busy, err := c.each(ctx, planned, func(shard *Job, o Options) error {
		shardOpt := *opt
		shardOpt.Options = o
		_, err := shard.Plan(ctx, shardOpt)
		return err
	})
	if err == nil && len(busy) > 0 {
		err = fmt.Errorf("shard %d of %s is at work in another process since this one began; plan again when it has ended", busy[0], j.Dir)
	}
	if err != nil {
		return nil, err
	}
	r, err := j.openRecords()
	if err != nil {
		return nil, jobUnusable(err)
	}
	defer r.Close()
	est, err := j.estimateOfShards(r, opt)
	if err == nil {
		j.keep(estimateName, est, opt.Log)
	}
	return est, cmp.Or(err, c.failed)
}

// part bounds a listing to what the shard has of it.
func (p *Part) part(src *listing.Source) *listing.Source {
	if p != nil {
		src.After, src.Through = p.After, p.Through
	}
	return src
}

// files are those of the manifest that the shard reads; nil for all.
func (p *Part) files() []string {
	if p == nil {
		return nil
	}
	return p.Files
}

// holds says whether an object can be in the shard; what a file holds only reading it
// tells.
func (p *Part) holds(o object.Ref) bool {
	if p != nil && p.Bucket != "" && (o.Bucket != p.Bucket || !strings.HasPrefix(o.Key, p.Prefix)) {
		return false
	}
	return p == nil || p.Files != nil || o.Key > p.After && (p.Through == "" || o.Key <= p.Through)
}
