package job

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/planner/manifest"
)

// The names within a job directory.
const (
	fileName       = "job.json"
	checkpointName = "checkpoint"
	logName        = "reseal.log"
	statusName     = "status.json"
	runName        = "run.json"
	paceName       = "pace.json"
	pruneName      = "prune.record"
	// Of selected noncurrent versions; see versionRecord.
	pruneVersionsName = "prune.versions"
	historyName       = "history.jsonl"
	verifiedName      = "verified.json"
	estimateName      = "estimate.json"
	probeName         = fileName + ".probe" // may be there before the job is
	claimName         = fileName + ".claim" // is there before the job is
)

const format = 1

// file is job.json. It is written before anything else of the job exists, and
// never holds a key, a secret or a token. Only the policy of it ever changes.
type file struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Version string    `json:"reseal"`
	Digest  string    `json:"digest"`
	Spec    Spec      `json:"spec"`
	Policy  Policy    `json:"how"`
	// PolicyDigest is over the policy, since when it holds, and those before it.
	// Jobs of older reseals have none.
	PolicyDigest string      `json:"how_digest,omitempty"`
	Since        time.Time   `json:"how_since,omitzero"`
	Earlier      []oldPolicy `json:"how_before,omitempty"`
	// Division is the digest of shards.json, where the job is divided.
	Division string `json:"division,omitempty"`
}

// oldPolicy is one that another replaced.
type oldPolicy struct {
	Since  time.Time `json:"since"`
	Policy Policy    `json:"how"`
}

func (f *file) policyDigest() (string, error) {
	sealed := []any{f.Digest, f.Policy, f.Since, f.Earlier}
	if f.Division != "" {
		sealed = append(sealed, f.Division)
	}
	data, err := json.Marshal(sealed)
	if err != nil {
		return "", fmt.Errorf("the job's policy: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// format is the one that the file has to have.
func (f *file) format() int {
	if f.Division != "" {
		return formatDivided
	}
	return format
}

// encode seals the policy.
func (f *file) encode() (data []byte, err error) {
	if f.PolicyDigest, err = f.policyDigest(); err != nil {
		return nil, err
	}
	if data, err = json.MarshalIndent(f, "", "  "); err != nil {
		return nil, fmt.Errorf("the job's specification: %w", err)
	}
	return append(data, '\n'), nil
}

func (j *Job) path(name string) string { return filepath.Join(j.local, name) }

// read reads the job in dir; nil where dir is absent or empty, so that a job can
// be begun there.
func read(dir string) (*Job, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, unusableBecause(err, "the job directory "+dir, "name a directory")
	}
	if err := checkpoint.CheckDir(abs); err != nil { // whatever stands in it could be another's
		return nil, jobUnusable(err)
	}
	if s, err := shardOf(abs); s != nil || err != nil {
		return s, err
	}
	f, err := readFile(filepath.Join(abs, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, onlyEmpty(abs)
	}
	if err != nil {
		return nil, err
	}
	j := &Job{Dir: abs, local: abs, ID: f.ID, Begun: f.Created, Spec: f.Spec, Policy: f.Policy, begun: true}
	if j.digest, err = f.Spec.Digest(); err == nil && f.Division != "" {
		j.Division, err = readDivision(j.path(divisionName), f.Division)
	}
	return j, err
}

// maxFile bounds job.json in bytes: a long list of patterns is a megabyte.
const maxFile = 16 << 20

// readFile reads job.json, and believes it only as it was written.
func readFile(path string) (*file, error) {
	data, err := readPlain(path, ofUs, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, unusableBecause(err, "the job file "+path, "name a job directory that you can read and write, and that nobody else can")
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, unusableBecause(err, "the job file "+path+" cannot be read", "restore it, or begin a new job in another directory")
	}
	if known := f.format(); f.Format != known {
		return nil, unusablef("use the version of reseal that began the job, or begin a new one in another directory",
			"the job in %s has format %d, and this reseal knows %d", filepath.Dir(path), f.Format, known)
	}
	digest, err := f.Spec.Digest()
	if err != nil {
		return nil, err
	}
	sealed, err := f.policyDigest()
	if err != nil {
		return nil, err
	}
	p := &f.Policy
	switch {
	case hex.EncodeToString(digest[:]) != f.Digest:
		return nil, unusablef("a job cannot be changed: begin a new one in another directory", "the job file %s was edited after the job began", path)
	case f.PolicyDigest != "" && f.PolicyDigest != sealed, p.Operation == "" || p.Inspect == "" || p.Verify == "" || p.Guard == "":
		return nil, unusablef("restore the file; a policy is changed by giving it again to a run", "the policy in the job file %s was edited", path)
	}
	return &f, nil
}

// onlyEmpty refuses a directory that holds something else than a job.
func onlyEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return unusableBecause(err, "the job directory "+dir, "name a directory that you can read and write")
	}
	for _, e := range entries {
		// What a process leaves that dies before there is a job is no other file.
		if e.Name() != divisionName && !strings.HasPrefix(e.Name(), divisionName+".") && !strings.HasPrefix(e.Name(), fileName+".") && !strings.HasPrefix(e.Name(), manifest.Spooled) {
			return unusablef("name a new or an empty directory", "%s holds no job but other files, among them %s", dir, e.Name())
		}
	}
	return nil
}

// checkWritable makes sure, before the store is asked anything, that the job
// will be able to write. made says whether it made the directory.
func checkWritable(dir string) (made bool, err error) {
	_, missing := os.Stat(dir)
	if to, err := os.Readlink(dir); err == nil && errors.Is(missing, fs.ErrNotExist) {
		return false, unusablef("make that directory, or mount its disk", "the job directory %s is a link to %s, which is not there", dir, to)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, unusableBecause(err, "the job directory "+dir+" cannot be written", "name a directory on a disk with room that you can write to")
	}
	return missing != nil, jobUnusable(checkpoint.ProbeDir(dir))
}

// freeze makes the specification a job. Of two processes that begin a job in one
// directory at the same time, one succeeds.
func (j *Job) freeze(version string) (err error) {
	frozen := j.frozen()
	if j.digest, err = frozen.Digest(); err != nil {
		return err
	}
	now := time.Now().UTC()
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	j.ID, j.Begun = now.Format("20060102T150405Z")+"-"+hex.EncodeToString(random[:]), now.Truncate(time.Second)
	f := file{ID: j.ID, Created: j.Begun, Version: version, Digest: hex.EncodeToString(j.digest[:]), Spec: frozen, Policy: j.Policy, Since: j.Begun}
	if j.Division != nil {
		f.Division = j.Division.digest
	}
	f.Format = f.format()
	data, err := f.encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(j.local, 0o700); err != nil {
		return unusableBecause(err, "the job directory "+j.Dir+" cannot be made", "name a directory that you can write to")
	}
	if err := writeOnce(j.path(fileName), data); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return unusablef("wait for it, or name another directory", "another process began a job in %s at the same moment", j.Dir)
		}
		return unusableBecause(err, "the job file cannot be written", "name a directory on a disk with room that you can write to")
	}
	if j.home != nil {
		if err := j.home.create(data); err != nil {
			return err
		}
	}
	j.begun = true
	return nil
}

// keepPolicy records a policy that differs from the recorded one, with its time.
// The caller holds the job.
func (j *Job) keepPolicy(now time.Time) error {
	if j.whole != nil {
		return j.whole.keepPolicyOf(j, now)
	}
	if j.home == nil {
		_, err := j.keepPolicyInFile(now)
		return err
	}
	f, err := readFile(j.path(fileName)) // as this process found it
	if err != nil || f.Policy.equal(&j.Policy) {
		return err
	}
	return j.home.keepAway(j.home.ctx, fileName, func() ([]byte, error) { return j.keepPolicyInFile(now) })
}

// keepPolicyInFile changes job.json, and answers with what it is then; nil where nothing
// was to be changed.
func (j *Job) keepPolicyInFile(now time.Time) ([]byte, error) {
	f, err := readFile(j.path(fileName))
	if err != nil || f.Policy.equal(&j.Policy) {
		return nil, err
	}
	f.Earlier = append(f.Earlier, oldPolicy{f.Since, f.Policy})
	f.Policy, f.Since = j.Policy, now.UTC().Truncate(time.Second)
	data, err := f.encode()
	if err != nil {
		return nil, err
	}
	if err := writeFile(j.path(fileName), data); err != nil {
		return nil, unusableBecause(err, "the job file cannot be written", "see to it that the job directory can be written")
	}
	return data, nil
}

// keepPolicyOf is keepPolicy of a shard: the policy is that of the whole job, which other
// processes may be about to change as well.
func (j *Job) keepPolicyOf(shard *Job, now time.Time) error {
	f, err := readFile(j.path(fileName))
	if err != nil || f.Policy.equal(&shard.Policy) {
		return err
	}
	c, err := awaitClaim(j.path(claimName))
	if err == nil && c == nil {
		err = errors.New("another process has been changing it for some time")
	}
	if err != nil {
		return unusableBecause(err, "the job file cannot be written", "see to it that the job directory can be written, and is on a file system that has locks")
	}
	defer c.release()
	j.Policy = shard.Policy
	return j.keepPolicy(now)
}

// frozen is what the job records of its specification: that a certificate is not
// looked at is said at every run.
func (j *Job) frozen() Spec {
	spec := j.Spec
	spec.Connection.NoVerifySSL = false
	return spec
}

// frozenDigest names the job, also before it is one.
func (j *Job) frozenDigest() ([sha256.Size]byte, error) {
	if j.begun {
		return j.digest, nil
	}
	spec := j.frozen()
	return spec.Digest()
}

// writeOnce writes a file that must not exist yet, so that after a crash at any
// instant it is there whole or not at all: a link, unlike a rename, never
// replaces.
func writeOnce(path string, data []byte) error {
	tmp, err := writeTemp(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeFile replaces a file atomically and durably.
func writeFile(path string, data []byte) error {
	tmp, err := writeTemp(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

func writeTemp(path string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return f.Name(), err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// remove takes a job away that never planned anything; job.json goes last, so
// that a crash leaves a job that can be resumed.
func (j *Job) remove() error {
	for _, name := range []string{checkpointName, logName, statusName, runName, paceName, historyName, estimateName, manifest.Spooled, fileName} {
		if err := os.RemoveAll(j.path(name)); err != nil {
			return err
		}
	}
	j.begun = false
	if j.madeDir {
		_ = os.Remove(j.local) // stays where somebody put something into it
	}
	return nil
}
