package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/planner/manifest"
)

// The names within a job directory.
const (
	jobFileName    = "job.json"
	checkpointName = "checkpoint"
	logName        = "reseal.log"
	statusName     = "status.json"
	probeName      = jobFileName + ".probe" // may be there before the job is
)

const jobFormat = 1

// job is a job directory and what it froze.
type job struct {
	Dir  string // absolute
	File jobFile
}

// jobFile is job.json. It is written once, before anything else of the job
// exists, and never holds a key, a secret or a token.
type jobFile struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Version string    `json:"reseal"`
	Digest  string    `json:"digest"`
	Spec    jobSpec   `json:"spec"`
	Consent consent   `json:"how"`
}

func (j *job) path(name string) string { return filepath.Join(j.Dir, name) }

// readJob reads the job in dir; nil where dir is absent or empty, so that a job
// can be begun there.
func readJob(dir string) (*job, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, unusableBecause(err, "--job "+dir, "name a directory")
	}
	data, err := os.ReadFile(filepath.Join(abs, jobFileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, onlyEmpty(abs)
	case err != nil:
		return nil, unusableBecause(err, "the job directory "+abs, "name a directory that you can read and write")
	}
	j := &job{Dir: abs}
	if err := json.Unmarshal(data, &j.File); err != nil {
		return nil, unusableBecause(err, "the job file "+j.path(jobFileName)+" cannot be read", "restore it, or begin a new job in another directory")
	}
	if j.File.Format != jobFormat {
		return nil, unusablef("use the version of reseal that began the job, or begin a new one in another directory",
			"the job in %s has format %d, and this reseal knows %d", abs, j.File.Format, jobFormat)
	}
	digest, err := j.File.Spec.Digest()
	if err != nil {
		return nil, err
	}
	if hex.EncodeToString(digest[:]) != j.File.Digest {
		return nil, unusablef("a job cannot be changed: begin a new one in another directory", "the job file %s was edited after the job began", j.path(jobFileName))
	}
	return j, nil
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
		if !strings.HasPrefix(e.Name(), jobFileName+".") && !strings.HasPrefix(e.Name(), manifest.Spooled) {
			return unusablef("name a new or an empty directory", "%s holds no job but other files, among them %s", dir, e.Name())
		}
	}
	return nil
}

// checkWritable makes sure, before the store is asked anything, that the job
// will be able to write. made says whether it made the directory.
func checkWritable(dir string) (made bool, err error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		_, missing := os.Stat(abs)
		made = missing != nil
		err = os.MkdirAll(abs, 0o700)
	}
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(abs, jobFileName+".*"); err == nil {
			_ = f.Close()
			err = os.Remove(f.Name())
		}
	}
	if err != nil {
		return false, unusableBecause(err, "the job directory "+dir+" cannot be written", "name a directory on a disk with room that you can write to")
	}
	return made, nil
}

// createJob freezes a specification in dir. Of two processes that begin a job
// in one directory at the same time, one succeeds.
func createJob(dir string, spec *jobSpec, c *consent) (*job, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, unusableBecause(err, "--job "+dir, "name a directory")
	}
	digest, err := spec.Digest()
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	j := &job{Dir: abs, File: jobFile{
		Format: jobFormat, ID: now.Format("20060102T150405Z") + "-" + hex.EncodeToString(random[:]),
		Created: now.Truncate(time.Second), Version: readVersion().Version, Digest: hex.EncodeToString(digest[:]), Spec: *spec, Consent: *c,
	}}
	data, err := json.MarshalIndent(&j.File, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the job's specification: %w", err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, unusableBecause(err, "the job directory "+dir+" cannot be made", "name a directory that you can write to")
	}
	if err := writeOnce(j.path(jobFileName), append(data, '\n')); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, unusablef("wait for it, or name another directory", "another process began a job in %s at the same moment", abs)
		}
		return nil, unusableBecause(err, "the job file cannot be written", "name a directory on a disk with room that you can write to")
	}
	return j, nil
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
func (j *job) remove(andDirectory bool) error {
	for _, name := range []string{checkpointName, logName, statusName, manifest.Spooled, jobFileName} {
		if err := os.RemoveAll(j.path(name)); err != nil {
			return err
		}
	}
	if andDirectory {
		_ = os.Remove(j.Dir) // stays where somebody put something into it
	}
	return nil
}

// jobFlags are what plan and run take: the whole of a job.
type jobFlags struct {
	dir       string
	source    sourceFlags
	target    targetFlags
	selection selectionFlags
	conn      connection
	how       howFlags
	out       outputFlags
}

func (f *jobFlags) AddFlags(set *pflag.FlagSet) {
	addJobDir(set, &f.dir)
	f.source.AddFlags(set)
	f.target.AddFlags(set)
	f.selection.AddFlags(set)
	f.conn.AddFlags(set)
	f.how.AddPlanFlags(set)
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
}

func addJobDir(set *pflag.FlagSet, dir *string) {
	set.StringVar(dir, "job", "", "the job's directory")
}

// order is a command line understood: an existing job to go on with, or the
// specification of one to begin.
type order struct {
	existing *job // nil for a job to begin
	spec     jobSpec
	consent  consent
	tempo    tempo
	madeDir  bool // the directory was made for this order
}

// Validate understands the command line against the job directory. It writes
// nothing but a probe of the directory.
func (f *jobFlags) Validate(cmd *cobra.Command, args []string) (*order, error) {
	if f.dir == "" {
		return nil, unusable(cmd.Name()+": --job is missing", "name a directory for the job with --job DIR; it will be created")
	}
	existing, err := readJob(f.dir)
	if err != nil {
		return nil, err
	}
	given := cmd.Flags().Changed
	o := &order{existing: existing}
	var remembered *consent
	if existing != nil {
		args = f.fill(&existing.File.Spec, args, given)
		remembered = &existing.File.Consent
	}
	if o.spec.Source, err = f.source.Validate(args); err != nil {
		return nil, err
	}
	if !o.spec.Source.given() {
		return nil, unusablef("name SOURCE and --sse to begin one", "%s: there is no job in %s", cmd.Name(), f.dir)
	}
	if err := f.conn.Validate(); err != nil {
		return nil, err
	}
	o.spec.Connection = f.conn
	if o.spec.Target, err = f.target.Validate(&f.conn); err != nil {
		return nil, err
	}
	if err := o.spec.refuseLoop(); err != nil {
		return nil, err
	}
	if o.spec.Selection, err = f.selection.Validate(); err != nil {
		return nil, err
	}
	if o.consent, o.tempo, err = f.how.Validate(remembered); err != nil {
		return nil, err
	}
	if existing != nil {
		if diff := existing.File.Spec.differences(&o.spec); len(diff) > 0 {
			return nil, unusablef(fmt.Sprintf("resume it with `reseal run --job %s`, or name another directory for a new job. They differ in\n  %s", existing.Dir, strings.Join(diff, "\n  ")),
				"the job in %s is another one than the command line asks for", existing.Dir)
		}
		o.spec.Selection = existing.File.Spec.Selection // ages mean what they meant when the job began
		o.spec.Source.Opened = existing.File.Spec.Source.Opened
	}
	o.madeDir, err = checkWritable(f.dir)
	return o, err
}

// fill takes from an existing job what the command line did not say. A command
// line that names both SOURCE and --sse is whole: what it leaves out of the
// selection and the target is meant to be left out.
func (f *jobFlags) fill(spec *jobSpec, args []string, given func(string) bool) []string {
	whole := (len(args) > 0 || given("manifest")) && given("sse")
	f.conn.fill(&spec.Connection, given, whole)
	if whole {
		return args
	}
	f.target.fill(&spec.Target, given)
	f.selection.fill(&spec.Selection, given)
	return f.source.fill(&spec.Source, args, given)
}
