package job

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/resealhq/reseal/planner/listing"
)

// divisionName is the file of a division, and shardsName the folder of its shards.
const (
	divisionName = "shards.json"
	shardsName   = "shards"
)

// formatDivided is the format of job.json of a divided job: a reseal that knows no
// shards would do the whole of it again.
const formatDivided = 2

// Kinds of a division.
const (
	ByKeys    = "keys"    // contiguous ranges of keys
	ByFiles   = "files"   // data files of a manifest
	ByBuckets = "buckets" // several places, and ranges of keys within each
)

// Division is how a job was divided into shards. It is frozen when the job begins, in
// shards.json, whose digest stands in job.json.
type Division struct {
	// Kind is keys, files or buckets.
	Kind   string `json:"kind"`
	Shards []Part `json:"shards"`
	// Asked is how many were asked for, where there are fewer keys than that.
	Asked int `json:"asked,omitempty"`
	// Places are those of a job of several, in the order in which they were named.
	Places []PlaceFound `json:"places,omitempty"`

	learnt learnt
	digest string
}

// Part is what one shard has of the source.
type Part struct {
	Index int `json:"index"`
	// Bucket and Prefix are the place, where the job has several.
	Bucket string `json:"bucket,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	// After and Through bound the keys: those behind After, up to and with Through, in
	// the order of their bytes. Empty is the beginning and the end of the source. All
	// versions of a key are in one shard.
	After   string `json:"after,omitempty"`
	Through string `json:"through,omitempty"`
	// Files are data files of the manifest, Bytes their size.
	Files []string `json:"files,omitempty"`
	Bytes int64    `json:"bytes,omitempty"`
	// Estimate is how many objects were expected when the job was divided.
	Estimate uint64 `json:"estimated_objects,omitempty"`
}

// divisionFile is shards.json: also what was learnt of store, key and buckets when the
// job was divided, so that all shards decide alike.
type divisionFile struct {
	Format int `json:"format"`
	Division
	Learnt learnt `json:"learnt"`
}

// maxDivision bounds shards.json in bytes; maxShards is more than any scheduler takes.
const (
	maxDivision = 256 << 20
	maxShards   = 100_000
)

// write makes the division durable, before there is a job, and notes its digest.
func (d *Division) write(path string) error {
	data, err := json.MarshalIndent(divisionFile{Format: 1, Division: *d, Learnt: d.learnt}, "", "  ")
	if err != nil {
		return fmt.Errorf("the job's division: %w", err)
	}
	data = append(data, '\n')
	sum := sha256.Sum256(data)
	d.digest = hex.EncodeToString(sum[:])
	if err := writeFile(path, data); err != nil {
		return unusableBecause(err, "the job's division cannot be written", "name a directory on a disk with room that you can write to")
	}
	return nil
}

// readDivision reads shards.json, and believes it only as it was written.
func readDivision(path, digest string) (*Division, error) {
	data, err := readPlain(path, ofUs, maxDivision)
	if err != nil {
		return nil, unusableBecause(err, "the division of the job, "+path, "restore the file; it was written when the job began")
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
		return nil, unusablef("restore the file; a job cannot be divided anew", "the division of the job, %s, was edited after the job began", path)
	}
	f := divisionFile{}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err = dec.Decode(&f); err == nil {
		err = f.validate()
	}
	if err != nil {
		return nil, unusableBecause(err, "the division of the job, "+path, "use the version of reseal that began the job")
	}
	d := f.Division
	d.learnt, d.digest = f.Learnt, digest
	return &d, nil
}

// validate insists that every object of the source is in exactly one shard.
func (d *Division) validate() error {
	if d.Kind == ByBuckets && len(d.Shards) > 0 && len(d.Shards) <= maxShards {
		return d.validatePlaces()
	}
	if len(d.Shards) == 0 || len(d.Shards) > maxShards || d.Kind != ByKeys && d.Kind != ByFiles {
		return fmt.Errorf("%d shards by %q are no division", len(d.Shards), d.Kind)
	}
	border, seen := "", map[string]bool{}
	for i, p := range d.Shards {
		last := i == len(d.Shards)-1
		ok := p.Index == i
		if d.Kind == ByKeys {
			ok = ok && p.Files == nil && p.After == border && (p.Through == "") == last && (last || p.Through > p.After)
			border = p.Through
		} else {
			ok = ok && len(p.Files) > 0 && p.After+p.Through == ""
		}
		for _, f := range p.Files {
			ok = ok && !seen[f]
			seen[f] = true
		}
		if !ok {
			return fmt.Errorf("shard %d does not begin where the one before ends", i)
		}
	}
	return nil
}

// byKeys is the division of a listing.
func byKeys(pieces []listing.Piece) *Division {
	d := &Division{Kind: ByKeys}
	for i, p := range pieces {
		d.Shards = append(d.Shards, Part{Index: i, After: p.After, Through: p.Through, Estimate: uint64(p.Rows)})
	}
	return d
}

// Range is the part in words.
func (p *Part) Range() string {
	if p.Bucket != "" {
		if p.After+p.Through == "" {
			return p.place().String()
		}
		return p.place().String() + " " + p.keys()
	}
	return p.keys()
}

func (p *Part) keys() string {
	switch {
	case len(p.Files) == 1:
		return p.Files[0]
	case len(p.Files) > 1:
		return fmt.Sprintf("%s and %d more files", p.Files[0], len(p.Files)-1)
	case p.After == "" && p.Through == "":
		return "every key"
	case p.After == "":
		return fmt.Sprintf("up to %q", p.Through)
	case p.Through == "":
		return fmt.Sprintf("after %q", p.After)
	}
	return fmt.Sprintf("after %q, up to %q", p.After, p.Through)
}

// Shard is one shard of a divided job, as a job of its own: it is planned, run, read and
// verified like one. Its directory is below that of the job, and Open takes that as well.
func (j *Job) Shard(index int) (*Job, error) {
	d := j.Division
	switch {
	case d == nil && j.Part != nil && index == j.Part.Index:
		return j, nil
	case d == nil:
		return nil, unusablef("leave it out, or begin a new job with Job.Divide", "the job in %s has no shards, and shard %d was asked for", j.Dir, index)
	case index < 0 || index >= len(d.Shards):
		return nil, unusablef(fmt.Sprintf("name one from 0 to %d; an array of tasks is to have as many as there are shards", len(d.Shards)-1),
			"the job in %s has %d shards, and shard %d was asked for", j.Dir, len(d.Shards), index)
	}
	name := shardsName + "/" + fmt.Sprintf("%04d", index)
	s := &Job{Dir: j.nameOf(name), local: j.path(name), home: j.home, ID: j.ID, Begun: j.Begun, Spec: j.Spec, Policy: j.Policy,
		Part: &d.Shards[index], whole: j, begun: true, ground: j.ground}
	if p := s.Part; p.Bucket != "" {
		s.Spec.Source = p.place().source()
	}
	s.digest = j.shardDigest(index)
	return s, nil
}

// shardDigest binds a checkpoint to its shard: it is of no use to another one.
func (j *Job) shardDigest(index int) [sha256.Size]byte {
	h := sha256.New()
	h.Write(j.digest[:])
	h.Write([]byte(j.Division.digest))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(index)))
	return [sha256.Size]byte(h.Sum(nil))
}

// shardOf opens a shard by its own directory, which nobody may have made yet; nil where it is none.
func shardOf(dir string) (*Job, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	index, err := strconv.Atoi(filepath.Base(dir))
	above := filepath.Dir(dir)
	if err != nil || filepath.Base(above) != shardsName {
		return nil, nil
	}
	if _, err := os.Lstat(filepath.Join(dir, fileName)); !errors.Is(err, fs.ErrNotExist) {
		return nil, err // a job of its own
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(above), fileName)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // what is there besides is none of its business
	}
	whole, err := read(filepath.Dir(above))
	if err != nil || whole == nil || whole.Division == nil {
		return nil, err
	}
	s, err := whole.Shard(index)
	if err != nil || s.local != dir {
		return nil, err
	}
	return s, nil
}

// parts are the shards of a divided job, or the job itself.
func (j *Job) parts() []*Job {
	if j.Division == nil {
		return []*Job{j}
	}
	out := make([]*Job, len(j.Division.Shards))
	for i := range out {
		out[i], _ = j.Shard(i) // within bounds
	}
	return out
}
