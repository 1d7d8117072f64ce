package job

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/folder"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/planner"
)

// A folder is one end of a job: Source.Folder is uploaded, Target.DestFolder is what a
// download goes to. The other end is the only store that there is, so that Connection
// leads to it in both cases.

// hasFolder says whether one end of the job is a folder.
func (s *Spec) hasFolder() bool { return s.Source.Folder != "" || s.Target.DestFolder != "" }

// validateFolders settles what the two ends can be.
func (s *Spec) validateFolders() error {
	src, t := &s.Source, &s.Target
	switch {
	case !s.hasFolder():
		return nil
	case src.Folder != "" && t.DestFolder != "":
		return unusable("Spec.Source and Target.Dest are both folders", "name a bucket for one of them; `cp -a` copies folders")
	case s.DestConnection != nil && *s.DestConnection != (DestConnection{}):
		return unusable("Spec.DestConnection was given with a folder", "there is one store only; name it with Connection.EndpointURL, Connection.Region and Connection.Profile")
	case s.Selection.Versions == "all":
		return unusable("Selection.Versions all was given with a folder", "a folder has one file of a name; leave it out")
	case src.Folder != "":
		return s.validateUpload()
	}
	return s.validateDownload()
}

func (s *Spec) validateUpload() (err error) {
	src, sel := &s.Source, &s.Selection
	switch {
	case src.Bucket+src.Prefix+src.Manifest+src.ManifestFormat != "" || src.many():
		return unusable("a folder and another source were both given", "name one of them")
	case s.Target.DestBucket == "":
		return unusablef("name the place with Target.Dest, as s3://BUCKET[/PREFIX]", "the folder %s has no place to go to", src.Folder)
	case len(sel.OnlyEncryption)+len(sel.OnlyStorageClass)+len(sel.OnlyClientSide) > 0:
		return unusable("Selection.OnlyEncryption, Selection.OnlyStorageClass and Selection.OnlyClientSide have no meaning for files", "leave them out")
	}
	if src.Folder, err = filepath.Abs(src.Folder); err != nil {
		return unusableBecause(err, "the folder "+src.Folder, "name it by its full path")
	}
	info, err := os.Stat(src.Folder)
	if err != nil {
		return unusableBecause(err, "the folder "+src.Folder, "name one that is there")
	}
	if !info.IsDir() {
		return unusablef("name the folder that it is in, and the file with Selection.Patterns", "%s is a file", src.Folder)
	}
	return s.refuseKeysWithin()
}

// refuseKeysWithin refuses a key file in the folder that is uploaded.
func (s *Spec) refuseKeysWithin() error {
	t := &s.Target
	for _, key := range append([]string{t.CustomerKeyFile, t.SourceKeyFile, t.ClientSide.KeyFile, t.ClientSide.SourceKeyFile}, t.MoreSourceKeyFiles...) {
		if key != "" && within(s.Source.Folder, key) {
			return unusablef("move it elsewhere", "the key file %s lies in the folder that is to be uploaded, and would be uploaded with it", key)
		}
	}
	return nil
}

func (s *Spec) validateDownload() (err error) {
	t := &s.Target
	for _, f := range []struct {
		set  bool
		name string
	}{{t.SSE != object.SSEUnknown, "Target.SSE"}, {t.StorageClass != "", "Target.StorageClass"}, {t.KMSKeyID != "", "Target.KMSKeyID"}, {t.KMSDefaultKey, "Target.KMSDefaultKey"},
		{t.KMSContext != "", "Target.KMSContext"}, {t.BucketKey != "", "Target.BucketKey"}, {t.CustomerKeyFile != "", "Target.CustomerKeyFile"}} {
		if f.set {
			return unusablef("leave it out: the store decrypts what is read", "%s has no meaning where Target.Dest is a folder", f.name)
		}
	}
	switch {
	case t.DestBucket != "":
		return unusable("Target.Dest names a bucket and a folder", "name one of them")
	case t.ClientSide.Format != "" && t.ClientSide.Format != "none":
		return unusablef("use none, which decrypts", "ClientSide.Format %s has no meaning where Target.Dest is a folder", t.ClientSide.Format)
	case t.ClientSide.Given() && t.ClientSide.Format == "":
		return unusablef("add ClientSide.Format none, which decrypts", "%s was given alone", t.ClientSide.first())
	}
	if t.DestFolder, err = filepath.Abs(t.DestFolder); err != nil {
		return unusableBecause(err, "the folder "+t.DestFolder, "name it by its full path")
	}
	if info, err := os.Stat(t.DestFolder); err == nil && !info.IsDir() {
		return unusablef("name a folder", "Target.Dest %s is a file", t.DestFolder)
	}
	return nil
}

// refuseJobWithin refuses a job directory in the folder, which would be uploaded while it
// is written, or which what is downloaded could write to.
func (s *Spec) refuseJobWithin(dir string) error {
	at := cmp.Or(s.Source.Folder, s.Target.DestFolder)
	switch {
	case at == "":
		return nil
	case within(at, dir), within(dir, at):
		return unusablef("name a job directory elsewhere", "the job directory %s and the folder %s lie one in the other", dir, at)
	}
	return nil
}

// within says whether a path is in a folder, or is the folder, whatever links lead there.
func within(folder, path string) bool {
	rel, err := filepath.Rel(real(folder), real(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// real is a path without links, as far as it is there.
func real(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	rest := ""
	for at := abs; ; at = filepath.Dir(at) {
		if r, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(r, rest)
		}
		if at == filepath.Dir(at) {
			return abs
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

// fileSum is the checksum that files are sent with, so that the store shows one of the
// whole; empty where it was not seen to make any.
func (l *learnt) fileSum() string {
	switch {
	case l.Caps.IsAWS():
		return "CRC64NVME"
	case l.Caps.Checksums == object.Yes && l.Caps.SendChecksums == object.Yes:
		return "CRC32" // which the canary has tried
	}
	return ""
}

// openFolders opens the folder that is read, or, to be written, the other.
func (w *work) openFolders(ctx context.Context, verb string) (err error) {
	spec := &w.job.Spec
	switch {
	case spec.Source.Folder != "":
		if w.files, err = folder.OpenSource(spec.Source.Folder, spec.Target.DestPrefix, w.learnt.fileSum()); err != nil {
			return unusableBecause(err, "the folder "+spec.Source.Folder, "see to it that it is there and can be read, then run again")
		}
		w.closers = append(w.closers, w.files.Close)
	case spec.Target.DestFolder != "" && verb == verbRun:
		if w.written, err = folder.OpenDest(spec.Target.DestFolder, w.job.token()); err != nil {
			return unusableBecause(err, "the folder "+spec.Target.DestFolder, "see to it that this user can write there, then run again")
		}
		w.closers = append(w.closers, w.written.Close)
		if !w.resumed {
			return nil
		}
		n, err := w.written.Sweep(ctx)
		if n > 0 {
			w.log.Info("removed files that an earlier process of this job had not ended", "files", n)
		}
		return err
	}
	return nil
}

// token is what names the unfinished files of the job, or of its shard.
func (j *Job) token() string {
	if j.whole != nil {
		return fmt.Sprintf("%s %x %d", j.whole.ID, j.whole.digest, j.Part.Index)
	}
	return fmt.Sprintf("%s %x", j.ID, j.digest)
}

// lookAtDest finds out whether anything stands where the files of a folder are to go: where
// nothing does, the condition of each write is enough.
func (s *session) lookAtDest(ctx context.Context) error {
	t, caps := &s.job.Spec.Target, &s.learnt.Caps
	if s.job.Spec.Source.Folder == "" || s.doctor || !caps.Guarded(object.RouteRewrite) || !caps.Guarded(object.RouteSend) {
		return nil
	}
	reads := readsOf(s.to, pace.New(s.opt.pace()), t.DestBucket, s.opt.Log)
	return reads.Do(ctx, object.Call{Kind: object.ReqList}, func(ctx context.Context) error {
		page, err := s.to.ListPage(ctx, object.ListRequest{Bucket: t.DestBucket, Prefix: t.DestPrefix, MaxKeys: 1})
		s.learnt.DestEmpty = err == nil && len(page.Objects) == 0 && !page.Truncated
		if object.ClassOf(err) == object.ClassDenied {
			return nil
		}
		return err
	})
}

// folder is what the planner is told of a download; nil where there is none.
func (j *Job) folder() *planner.Folder {
	if j.Spec.Target.DestFolder == "" {
		return nil
	}
	return &planner.Folder{Strip: j.Spec.Dest().StripPrefix, Windows: runtime.GOOS == "windows", Decrypts: j.Spec.Target.ClientSide.Format == "none"}
}

// beyondFolder leaves out of pace and counts what is asked of the folder.
type beyondFolder struct {
	*pace.Pacer
	here func(*object.Call) bool
}

func (b beyondFolder) Enter(ctx context.Context, c *object.Call) error {
	if b.here(c) {
		return ctx.Err()
	}
	return b.Pacer.Enter(ctx, c)
}

func (b beyondFolder) Leave(c *object.Call, r object.Result) {
	if !b.here(c) {
		b.Pacer.Leave(c, r)
	}
}

// here says whether a request is one to the folder. A HEAD may be to either end, and is
// taken for one to the store.
func (w *work) here(c *object.Call) bool {
	switch {
	case w.files != nil:
		return c.Kind == object.ReqGet
	case w.written != nil:
		return c.Kind.Mutates()
	}
	return false
}

// towardsFolders puts the folder in the place of the store at its end.
func (w *work) towardsFolders(cfg *engine.Config) {
	switch {
	case w.files != nil:
		cfg.Source, cfg.FromFiles, cfg.DestEmpty = w.files.Store(), true, w.learnt.DestEmpty
	case w.job.Spec.Target.DestFolder != "":
		cfg.ToFiles = true
		if w.written != nil { // a plan writes nothing
			cfg.Store = w.written.Store()
		}
	default:
		return
	}
	cfg.Pace = beyondFolder{w.pacer, w.here}
}
