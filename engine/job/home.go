package job

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// home is the place in a bucket where a job's state lives. This process works in a copy
// of it, in a folder of its own, which looks like a job directory:
//
//	PREFIX/job.json, shards.json        as in a directory; shards-….json see homedivide.go
//	PREFIX/lease, PREFIX/leases/0007    who works on the job, on a shard
//	PREFIX/log/…, shards/0007/log/…     the checkpoint: see checkpoint.Away and ledger.Log
//	PREFIX/run.json …, shards/0007/…    what is told of runs, for the verbs that read
//	PREFIX/prune/…                      the record of a prune
//
// What decides anything is believed of the log and of job.json alone.
type home struct {
	ctx   context.Context // of whoever opened it
	life  context.Context // a little longer: what is recorded is brought to the bucket
	end   context.CancelFunc
	name  string // s3://BUCKET/PREFIX
	store *s3store.Store
	// forsake ends ctx before its time: nothing is asked of the bucket any more.
	forsake context.CancelFunc

	place  *ledger.Place
	folder string
	lock   *os.File // held while the folder is in use
	watch  ledger.Watch
	// reading is told how many shards were read, where somebody asked.
	reading func(read, of int)

	proving sync.Mutex // held while the bucket is proved
	mu      struct {
		sync.Mutex
		closed  bool
		proved  bool                          // the store honours conditions
		held    map[string]*ledger.Lease      // by the name of the lease
		records map[string]func([]byte) error // of prunes, by the name of the file
		copied  map[string]copied             // what the folder has of a log, by the part's path
		sent    map[string][sha256.Size]byte  // what was last taken along of each small file
		terms   map[string]terms              // of leases, by their names in the folder of these
		ahead   map[string]bool               // whether a process is at work, of parts that were just fetched
		clock   storeClock
		log     *slog.Logger // of who works
		stop    time.Time    // when this process was told to stop; zero before
		givenUp bool         // what was to be brought to the bucket since then
	}
}

// copied is what the folder has of a log.
type copied struct {
	segments uint64
	at       time.Time     // when it was fetched
	took     time.Duration // to fetch it
}

// inBucket says whether a job directory is a place in a bucket.
func inBucket(dir string) bool { return strings.HasPrefix(dir, "s3://") }

// mistyped refuses the name of a directory that was meant as a place in a bucket: the
// job would look as if its state were there.
func mistyped(dir string) error {
	if inBucket(dir) || !strings.HasPrefix(strings.ToLower(dir), "s3:") {
		return nil
	}
	return unusablef("write a place in a bucket as s3://BUCKET/PREFIX, and a directory of that name as ./"+dir, "the job's place %q", dir)
}

// The names of a lease.
const (
	wholeLease  = "lease"
	shardLeases = "leases"
)

// Patience of a process with the bucket of the state: whoever works waits for it as long
// as for any store, whoever asks does not.
const (
	askPatience  = time.Minute
	workPatience = 4 * time.Hour
	// lastWords is how long a process that is told to stop at once may take to bring what
	// is recorded to the bucket.
	lastWords = 5 * time.Second
	// lastPatience is how long one that is told to stop waits for a bucket that does not answer, of
	// supervisors that give it half a minute: hours would follow each other otherwise.
	lastPatience = 12 * time.Second
)

// openHome opens the place of a job in a bucket; there need not be a job.
func openHome(ctx context.Context, dir string, c Connection) (*home, error) {
	const fix = "write it as s3://BUCKET/PREFIX"
	bucket, prefix, err := s3store.ParseLocation(dir)
	prefix = strings.Trim(prefix, "/")
	if err != nil || strings.HasPrefix(dir, "s3://arn:") || prefix == "" || path.Clean("/"+prefix) != "/"+prefix || strings.ContainsFunc(prefix, unicode.IsControl) {
		return nil, unusablef(fix, "the job's place %q", dir)
	}
	h := &home{name: "s3://" + bucket + "/" + prefix}
	h.ctx, h.forsake = context.WithCancel(ctx)
	h.life, h.end = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, h.end) })
	h.mu.ahead, h.mu.terms = map[string]bool{}, map[string]terms{}
	h.mu.held, h.mu.copied, h.mu.records, h.mu.sent = map[string]*ledger.Lease{}, map[string]copied{}, map[string]func([]byte) error{}, map[string][sha256.Size]byte{}
	if h.store, err = openState(ctx, c); err != nil {
		return nil, err
	}
	h.place = statePlace(ctx, h.store, bucket, prefix+"/")
	h.place.Enough, h.place.Failed = h.enough, h.failed
	if h.folder, h.lock, err = workFolder(); err != nil {
		h.store.Close()
		return nil, unusableBecause(err, "no folder to work in can be made", "set TMPDIR to a directory on a disk with room that you can write to")
	}
	return h, nil
}

// nowhere makes an error of the place of a job of one that says that its bucket is not there.
func (h *home) nowhere(err error) error {
	if object.ClassOf(err) == object.ClassNoBucket {
		return unusableBecause(err, "the job's place "+h.name, "make the bucket, or name a place in another")
	}
	return err
}

// openState opens the store that the state of jobs lies in.
func openState(ctx context.Context, c Connection) (*s3store.Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c.Open(ctx, Dial{Conn: groundOf(ctx).Dial})
}

func statePlace(ctx context.Context, store *s3store.Store, bucket, prefix string) *ledger.Place {
	return &ledger.Place{Store: store, Bucket: bucket, Prefix: prefix, Patience: askPatience, Untried: true,
		Backoff: groundOf(ctx).backoff}
}

// Close gives the folder back. What is in it lies in the bucket.
func (h *home) Close() error {
	h.mu.Lock()
	closed := h.mu.closed
	h.mu.closed = true
	held := slices.Collect(maps.Keys(h.mu.held))
	h.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for _, name := range held {
		errs = append(errs, h.release(name))
	}
	h.end()
	h.forsake()
	h.store.Close()
	return errors.Join(append(errs, os.RemoveAll(h.folder), h.lock.Close())...)
}

// path is where the copy of an object is.
func (h *home) path(name string) string { return filepath.Join(h.folder, filepath.FromSlash(name)) }

// pull copies a file from the bucket; false where there is none. An empty object is none:
// nothing is ever deleted there.
func (h *home) pull(ctx context.Context, name string) (bool, error) {
	found, _, err := h.pullVersion(ctx, name)
	return found, err
}

// pullVersion is pull for who is to replace just that: etag is the object's, empty where
// there is not even an empty one.
func (h *home) pullVersion(ctx context.Context, name string) (found bool, etag string, err error) {
	data, etag, err := h.place.Read(ctx, name)
	if errors.Is(err, ledger.ErrNone) || err == nil && len(data) == 0 {
		err = os.Remove(h.path(name))
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return false, etag, err
	}
	if err != nil {
		return false, "", err
	}
	return true, etag, h.copy(name, data)
}

// copy makes the copy of an object what was read of it.
func (h *home) copy(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o700); err != nil {
		return err
	}
	return replaceFile(h.path(name), data)
}

// push copies a file to the bucket; one that is not there becomes an empty object.
func (h *home) push(ctx context.Context, name string) error {
	data, err := os.ReadFile(h.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return h.place.Write(ctx, name, data)
}

// prove finds out, once, whether the store of the state can tell two processes apart.
func (h *home) prove(ctx context.Context) error {
	h.proving.Lock() // and not h.mu, by which a request that fails asks whether to go on
	defer h.proving.Unlock()
	h.mu.Lock()
	proved := h.mu.proved
	h.mu.Unlock()
	if proved || h.store.IsAWS() {
		return nil
	}
	err := h.place.Prove(ctx)
	var no *ledger.UnconditionalError
	if errors.As(err, &no) {
		return unusableBecause(err, "the job's state cannot live in "+h.name, "name a directory, or a bucket of a store that honours conditional writes")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.proved = err == nil
	return err
}

// lease takes the lease of that name, or answers with the one that this process holds.
func (h *home) lease(ctx context.Context, name string, opt *Options) (*ledger.Lease, error) {
	h.mu.Lock()
	held := h.mu.held[name]
	h.mu.log = opt.Log
	h.mu.Unlock()
	if held != nil { // since the job was begun, when nobody had said for how long
		return held, held.Change(ctx, opt.lease())
	}
	if err := h.prove(ctx); err != nil {
		return nil, err
	}
	l, err := ledger.Acquire(ctx, h.patient(), name, ledger.Terms{TTL: opt.Lease, Await: opt.Await, Pass: opt.crew != nil, Watch: &h.watch, Life: h.life,
		Waiting: func(by ledger.Holding, wait time.Duration) {
			opt.Log.Warn("another process may be at work; waiting until it is seen to be, or to be gone", "job", h.name, "lease", name,
				"host", by.Host, "pid", by.PID, "at_most", wait.Round(time.Second))
		}})
	if err != nil {
		return nil, h.locked(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.held[name] = l
	return l, nil
}

// release gives a lease back, if this process has it.
func (h *home) release(name string) error {
	h.mu.Lock()
	l := h.mu.held[name]
	delete(h.mu.held, name)
	h.mu.Unlock()
	if l == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.life, 30*time.Second)
	defer cancel()
	return l.Release(ctx)
}

// giveBack gives a lease back at the end of what was done under it. Where that fails nothing
// else is lost, and whoever comes next waits until the lease has run out.
func (h *home) giveBack(name string, log *slog.Logger) {
	if err := h.release(name); err != nil {
		log.Warn("the lease could not be given back; whoever goes on waits until it has run out", "job", h.name, "lease", name, "error", err)
	}
}

// workFolder makes a folder for this process alone, and takes those away that processes
// left which died.
func workFolder() (dir string, lock *os.File, err error) {
	sweepWorkFolders()
	for range 3 { // another's sweep may meet one that is not locked yet
		if dir, lock, err = newWorkFolder(); err == nil {
			break
		}
	}
	return dir, lock, err
}

func newWorkFolder() (dir string, lock *os.File, err error) {
	if dir, err = os.MkdirTemp("", workPrefix); err != nil { // 0700
		return "", nil, err
	}
	lock, err = os.OpenFile(filepath.Join(dir, workMark), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		var ours bool
		if ours, err = lockFile(lock); err == nil && !ours {
			err = fmt.Errorf("%s is locked by another process", dir)
		}
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

const (
	workPrefix = "reseal-job-"
	workMark   = "reseal.work"
)

// sweepWorkFolders removes folders that workFolder made, of this user, whose process is
// gone: the lock of its mark went with it. A folder without a mark that can be locked is
// left alone.
func sweepWorkFolders() {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*"))
	for _, dir := range found {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !ownedByUs(info) || !private(info) {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, workMark), os.O_RDWR|plainly, 0)
		if err != nil {
			continue
		}
		if free, err := lockFile(f); err == nil && free {
			_ = os.RemoveAll(dir)
		}
		_ = f.Close()
	}
}
