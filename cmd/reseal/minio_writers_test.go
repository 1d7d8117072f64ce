package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestL2OtherWriters lets eight other clients overwrite and delete objects of 1 KiB to
// 300 kB, half of them with a CRC32, while jobs run over and over, on a MinIO whose
// CopyObject ignores If-Match. No write may be lost and nothing that was deleted may
// come back, whether the bucket keeps versions or not, and when the job is killed and
// resumed. What nobody wrote is done. RESEAL_GUARD_WRITES asks for more writes than
// `make test` makes (`RESEAL_GUARD_WRITES=10000 go test ./cmd/reseal -run L2Other -v`).
func TestL2OtherWriters(t *testing.T) {
	t.Parallel()
	writes := int64(400)
	if n, err := strconv.ParseInt(os.Getenv("RESEAL_GUARD_WRITES"), 10, 64); err == nil {
		writes = n
	}
	server := realserver.StartMinIO(t, realserver.Options{})
	for _, c := range []struct {
		name       string
		args       []string
		versioning types.BucketVersioningStatus
		kills      bool
	}{
		{name: "default"},
		{name: "killed", kills: true},
		{name: "versioned", versioning: types.BucketVersioningStatusEnabled},
		{name: "versioned-killed", versioning: types.BucketVersioningStatusEnabled, kills: true},
		{name: "strict", args: []string{"--guard", "strict"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, server, "writers-"+c.name)
			b.bucketVersioning(c.versioning)
			w := newOtherWriters(b, writes, true)
			w.args, w.kills, w.versioned = c.args, c.kills, c.versioning != ""
			w.write(c.name)
		})
	}
}

const (
	otherClients = 8
	sharedKeys   = 160 // that others write, each of them one client
	quietKeys    = 40  // that nobody writes
)

// otherWriters write plain objects over the job's. Each key has one writer, so that
// its last write is known.
type otherWriters struct {
	*bed
	args             []string
	sse              []string // the target, and what it is shown as
	under            types.ServerSideEncryption
	checksums        bool // half of what others write has one, which the store keeps
	versioned, kills bool
	enough           int64 // writes in all
	last             []written
	overwrites       atomic.Int64
	deletions        atomic.Int64
	// jobs that were run to their end, the objects that they changed, and how often a
	// process of them was killed.
	jobs, done, killed int
	// told counts the rows that tell of a write below a copy of a process that was killed.
	told int
}

// written is what one key was given last.
type written struct {
	key     string
	sum     [sha256.Size]byte
	crc     bool
	gone    bool
	version []string // all that were made, deletions too, where the bucket keeps them
}

func newOtherWriters(b *bed, writes int64, checksums bool) *otherWriters {
	w := &otherWriters{bed: b, enough: writes, sse: []string{"AES256"}, under: types.ServerSideEncryptionAes256, checksums: checksums}
	r := rand.New(rand.NewPCG(1, 7))
	for i := range sharedKeys + quietKeys {
		key := fmt.Sprintf("shared/%03d", i)
		if i >= sharedKeys {
			key = fmt.Sprintf("quiet/%03d", i)
		}
		w.last = append(w.last, written{key: key})
		w.overwrite(&w.last[i], r)
	}
	return w
}

// write has all clients write while the jobs run, and compares.
func (w *otherWriters) write(name string) {
	var writing sync.WaitGroup
	for n := range otherClients {
		writing.Go(func() { w.oneClient(n) })
	}
	w.run()
	writing.Wait()
	w.settle()
	lost, back, late := w.compare()
	w.Logf("%s: %d overwrites and %d deletions while %d jobs changed %d objects, with %d kills; %d writes lost, %d deleted objects brought back; %d kept as versions that are not current, and %d of these told",
		name, w.overwrites.Load(), w.deletions.Load(), w.jobs, w.done, w.killed, lost, back, late, w.told)
}

// oneClient is one client: three of its writes in four put an object, whether there is one
// or not, and one deletes it.
func (w *otherWriters) oneClient(me int) {
	r := rand.New(rand.NewPCG(uint64(me), 8))
	for w.overwrites.Load()+w.deletions.Load() < w.enough && !w.Failed() {
		l := &w.last[r.IntN(sharedKeys/otherClients)*otherClients+me]
		if r.IntN(4) > 0 {
			w.overwrite(l, r)
			w.overwrites.Add(1)
			continue
		}
		out, err := w.client.DeleteObject(w.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: &l.key})
		if err != nil {
			w.Error(err)
			return
		}
		if l.gone = true; w.versioned && aws.ToString(out.VersionId) != "" { // Ceph marks what is deleted already no further
			l.version = append(l.version, *out.VersionId)
		}
		w.deletions.Add(1)
	}
}

// overwrite puts 1 KiB to 300 kB, small ones more often, every other with a CRC32 as
// boto3 sends one.
func (w *otherWriters) overwrite(l *written, r *rand.Rand) {
	body := make([]byte, int(1024*math.Pow(300_000.0/1024, r.Float64())))
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	l.sum, l.gone, l.crc = sha256.Sum256(body), false, r.IntN(2) == 0 && w.checksums
	in := &s3.PutObjectInput{Bucket: &w.bucket, Key: &l.key, Body: bytes.NewReader(body)}
	if l.crc {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
	}
	out, err := w.client.PutObject(w.Context(), in, func(o *s3.Options) { o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired })
	if err != nil {
		w.Error(err)
		return
	}
	if w.versioned {
		l.version = append(l.version, aws.ToString(out.VersionId))
	}
}

// run runs new jobs over the bucket until there were so many writes.
func (w *otherWriters) run() {
	for w.jobs < 2 || w.overwrites.Load()+w.deletions.Load() < w.enough {
		job := filepath.Join(w.TempDir(), fmt.Sprint(w.jobs))
		if w.kills {
			w.killNowAndThen(job)
		}
		w.end(job)
		if w.Failed() {
			return
		}
	}
}

// end runs a job to its end, which leaves what others deleted or kept writing.
func (w *otherWriters) end(job string) runSummary {
	out, err := w.command(w.line(job)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() != 3 {
		w.Fatalf("job %d: exit code %d\n%s", w.jobs, exit.ExitCode(), exit.Stderr)
	}
	s := w.parse(out)
	w.jobs, w.done = w.jobs+1, w.done+s.Done
	if s.Remaining > 0 {
		w.Errorf("job %d: %+v", w.jobs, s)
	}
	for key, row := range w.rows(job) {
		switch {
		case row["state"] != "failed":
		case w.kills && w.versioned && strings.Contains(row["message"], "which was written in between"): // see compare
			w.told++
		default:
			w.Errorf("job %d: %s failed: %v", w.jobs, key, row)
		}
		if key >= "quiet/" && key < "quiet0" && row["state"] != "done" && row["state"] != "already" {
			w.Errorf("nobody wrote %s, and it is %s because of %s: %s", key, row["state"], row["reason"], row["message"])
		}
	}
	return s
}

func (w *otherWriters) line(job string) []string {
	return slices.Concat([]string{"run", "s3://" + w.bucket, "--json", "--no-progress", "--job", job, "--sse"}, w.sse, w.args)
}

// killNowAndThen kills three processes of a job at any moment of their lives.
func (w *otherWriters) killNowAndThen(job string) {
	r := rand.New(rand.NewPCG(uint64(w.jobs), 9))
	for range 3 {
		cmd := w.command(w.line(job)...)
		if err := cmd.Start(); err != nil {
			w.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-ended: // it was faster
		case <-time.After(time.Duration(100+r.IntN(900)) * time.Millisecond):
			_ = cmd.Process.Kill()
			<-ended
			w.killed++
		}
	}
}

// settle is the job when the others are quiet: it leaves nothing.
func (w *otherWriters) settle() {
	if s := w.end(filepath.Join(w.TempDir(), "last")); s.Left > 0 {
		text, _ := json.Marshal(s)
		w.Errorf("nobody writes any more: %s", text)
	}
}

// compare reads what the bucket holds: what was written last to each key, under the
// target, and in a bucket that keeps versions every write besides.
//
// There late counts the keys whose last write is a version and not the current one.
// MinIO dates an unconditional write before it takes the object's lock, and sorts
// versions by that date: a write that waited for a PutObject of reseal, which held the
// lock and was dated in it, comes to lie below it, as one of some 300 writes here did.
// reseal looks for that, and removes what it wrote. A process that is killed before it
// has looked leaves it to be told.
func (w *otherWriters) compare() (lost, back, late int) {
	there := map[string]bool{}
	for page := range w.versionPages() {
		for _, v := range page.Versions {
			there[*v.VersionId] = true
		}
		for _, m := range page.DeleteMarkers {
			there[*m.VersionId] = true
		}
	}
	kept := func(l *written) bool { return len(l.version) > 0 && there[l.version[len(l.version)-1]] }
	var keys []string
	for i := range w.last {
		l := &w.last[i]
		keys = append(keys, l.key)
		got, err := w.client.GetObject(w.Context(), &s3.GetObjectInput{Bucket: &w.bucket, Key: &l.key, ChecksumMode: types.ChecksumModeEnabled})
		var none *types.NoSuchKey
		switch {
		case errors.As(err, &none):
			switch {
			case l.gone:
			case kept(l):
				late++
			default:
				lost++
				w.Errorf("%s is gone", l.key)
			}
			continue
		case err != nil:
			w.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		switch {
		case err != nil:
			w.Fatal(err)
		case (l.gone || sha256.Sum256(body) != l.sum) && kept(l):
			late++
		case l.gone:
			back++
			w.Errorf("%s was deleted, and is there", l.key)
		case sha256.Sum256(body) != l.sum:
			lost++
			w.Errorf("%s does not hold what was written last", l.key)
		case got.ServerSideEncryption != w.under || w.checksums && l.crc != (got.ChecksumCRC32 != nil):
			w.Errorf("%s is under %q; it had a CRC32: %t, it has one: %t", l.key, got.ServerSideEncryption, l.crc, got.ChecksumCRC32 != nil)
		}
	}
	w.mayDelete = true
	w.nothingElse(keys)
	for i := range w.last {
		for _, id := range w.last[i].version {
			if !there[id] {
				lost++
				w.Errorf("version %s of %s is gone", id, w.last[i].key)
			}
		}
	}
	if late > w.told {
		w.Errorf("%d writes are not current, and %d are told", late, w.told)
	}
	return lost, back, late
}
