package sim

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
	"github.com/resealhq/reseal/planner/listing"
)

// night is one seed at work.
type night struct {
	*testing.T
	plan     *plan
	server   *s3test.Server
	exchange *exchange
	skew     atomic.Int64
	current  atomic.Pointer[process]
	before   s3test.Bucket
	began    time.Time
	log      *slog.Logger
	said     said // all of it

	mem *vfs.MemFS // the disk that the next process finds
	dir string

	lives, crashes, rivals, sets int
	stops                        []error

	mu struct {
		sync.Mutex
		seen     map[string]int      // requests by operation and key
		touched  map[string]*foreign // what other clients did last
		acts     int
		theirs   map[string]string // uploads that they have begun, by ID
		withPart []string          // and those of them that have a part
		told     []string          // what they did, for the trace
		lower    []lower
	}
}

// foreign is what another client did to a key, the last of each.
type foreign struct {
	written *s3test.Object // nil where it only changed what was there
	deleted bool
	tags    []object.Tag // nil where it set none
	held    bool
	below   string // the version that it wrote, where that came to lie below the job's own
}

func (p *plan) spec() job.Spec {
	return job.Spec{Source: job.Source{Bucket: bucketName}, Target: p.target, Selection: job.Selection{Versions: p.versions},
		Connection: job.Connection{EndpointURL: "http://store.sim", Region: "us-east-1", PathStyle: "on"}}
}

// String is it for the trace.
func (f *foreign) String() string {
	if f == nil {
		return "nothing"
	}
	return fmt.Sprintf("written=%t deleted=%t tags=%v held=%t", f.written != nil, f.deleted, f.tags, f.held)
}

// tally is what a night counts.
type tally struct {
	hours                        time.Duration
	lives, crashes, acts, rivals int
	faults                       map[string]int
	refused, stopped             int
	sets, away, divided, beside  int
	rows                         map[string]int
	trace                        string
}

// play plays the night of a seed, inside a bubble of its own time.
func play(t *testing.T, p *plan, dir string, out *tally) {
	began := time.Now()
	n := &night{T: t, plan: p, exchange: newExchange(), mem: vfs.NewCrashableMem(), dir: filepath.Join(dir, "job")}
	if p.away {
		n.dir = stateOfJob
	}
	n.log = slog.New(slog.NewTextHandler(&n.said, nil))
	if os.Getenv("RESEAL_SIM_LOG") != "" {
		n.log = slog.New(slog.NewTextHandler(io.MultiWriter(&n.said, os.Stderr), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n.began = began
	n.mu.seen, n.mu.touched = map[string]int{}, map[string]*foreign{}
	n.mu.theirs = map[string]string{}
	n.server = s3test.New(s3test.Config{Profile: p.profile, Listener: n.exchange, Seed: p.seed, Now: n.storeTime, MaxPage: 100})
	defer time.Sleep(p.latency + time.Second) // requests that nobody waits for have their moment
	defer n.server.Close()
	n.fill()
	n.server.SetLimits(s3test.Limits{Requests: p.perPrefix, PerPrefix: true, Under: "crowd/", Burst: max(4, p.perPrefix/4)})
	out.rows, out.faults = map[string]int{}, map[string]int{}
	n.through(out)
	out.hours, out.lives, out.crashes, out.acts, out.rivals, out.sets, out.stopped = time.Since(began), n.lives, n.crashes, n.mu.acts, n.rivals, n.sets, len(n.stops)
	if p.away {
		out.away++
	}
	if p.shards > 0 {
		out.divided++
	}
	if n.said.contains("work goes on below others too") {
		out.beside++
	}
}

// effect is the name of what a rule does.
func effect(rule string) string {
	at := strings.LastIndex(rule, ")) ")
	return strings.TrimSuffix(rule[at+3:], ")")
}

func (n *night) countFaults(out *tally) {
	for rule, hits := range n.server.FaultHits() {
		out.faults[effect(rule)] += hits
	}
}

func (n *night) storeTime() time.Time { return time.Now().Add(time.Duration(n.skew.Load())) }

func (n *night) fill() {
	for _, id := range []string{oldKey, newKey} {
		n.server.KMS.CreateKeyWith(kms.KeyOptions{ID: id})
	}
	n.server.CreateBucket(bucketName, n.plan.bucket)
	n.server.CreateBucket(stateBucket, s3test.BucketConfig{})
	for i, o := range n.plan.objects {
		if n.plan.older[i] {
			n.server.Put(bucketName, s3test.Object{Key: o.Key, Body: s3test.Bytes("the older null version")})
			n.server.ConfigureBucket(bucketName, func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
		}
		if n.plan.unnamed != nil && n.plan.unnamed[i] {
			n.server.ConfigureBucket(bucketName, func(c *s3test.BucketConfig) { c.Versioning = "" })
		}
		n.server.Put(bucketName, o, n.plan.options[i]...)
		n.server.ConfigureBucket(bucketName, func(c *s3test.BucketConfig) { c.Versioning = n.plan.bucket.Versioning })
	}
	n.before = n.server.Snapshot(bucketName)
	if err := n.server.SetRules(n.plan.rules); err != nil {
		n.Fatal(err)
	}
	n.server.OnRequest(n.onRequest)
	n.server.OnEffect(n.onEffect)
}

func (n *night) onRequest(r s3test.Request) {
	n.apart(r)
	n.interfere(r)
	n.uploadBeside(r)
	if p := n.current.Load(); p != nil {
		p.request(r)
	}
}

// through is the night from the first process to the judgement.
func (n *night) through(out *tally) {
	sum, err := (*report.Summary)(nil), errDied
	for _, l := range n.plan.lives {
		if sum, err = n.live(l); err == nil || n.refused(err) {
			break
		}
		if !errors.Is(err, errDied) {
			n.stops = append(n.stops, err)
		}
		time.Sleep(time.Hour)
	}
	if err != nil && !n.refused(err) {
		n.countFaults(out)
		_ = n.server.SetRules("")
		for range 3 {
			if sum, err = n.live(life{}); err == nil || n.refused(err) {
				break
			}
			n.stops = append(n.stops, err)
		}
	}
	n.server.OnRequest(nil)
	n.server.OnEffect(nil)
	n.countFaults(out)
	if n.plan.traced {
		out.trace = n.trace()
	}
	if n.plan.away { // who only reads has less patience with a store than who works
		_ = n.server.SetRules("")
	}
	switch {
	case err == nil:
		n.judge(sum, out)
	case n.refused(err):
		out.refused++
		n.untouched(err)
	default:
		n.Errorf("the job does not end: %v (before it: %v)", err, n.stops)
	}
}

// refused says whether the job was turned down before it touched anything.
func (n *night) refused(err error) bool {
	var u *job.UnusableError
	return errors.As(err, &u) || n.plan.profile.NotByteOrder && errors.Is(err, listing.ErrOrder) ||
		n.plan.profile.IgnoresEncoding && errors.Is(err, listing.ErrMangled)
}

// interfere lets other clients do something at the worst moments. What they do is
// drawn by the operation, the key and how often that pair came.
func (n *night) interfere(r s3test.Request) {
	if n.plan.others == 0 || r.Key == "" || !slices.Contains(worst, r.Op) || n.before.Find(r.Key) == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	id := r.Op + " " + r.Key
	n.mu.seen[id]++
	x := drawn(n.plan.seed, id, n.mu.seen[id])
	if float64(x%10000)/10000 >= n.plan.others {
		return
	}
	// Where every version is a task, another task of the same key may look at the moment
	// in which this one writes.
	one := n.plan.versions != "all"
	n.act(r.Key, x/10000, one && r.Op == "HeadObject", one && (r.Op == "HeadObject" || r.Op == "GetObjectTagging"))
	n.mu.told = append(n.mu.told, fmt.Sprintf("%15.9f before %s %q, of what others did the last is %v", time.Since(n.began).Seconds(), r.Op, r.Key, n.mu.touched[r.Key]))
}

// uploadBeside lets another client begin an upload of a key just when the job does, with
// a part or, as yet, without one. It is drawn by the key, so that it changes no other draw.
func (n *night) uploadBeside(r s3test.Request) {
	if n.plan.others == 0 || r.Op != "CreateMultipartUpload" || n.before.Find(r.Key) == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	x := drawn(n.plan.seed, "upload beside", r.Key)
	id := fmt.Sprintf("theirs-%x", x)
	if _, begun := n.mu.theirs[id]; begun || float64(x%10000)/10000 >= 5*n.plan.others {
		return
	}
	n.mu.theirs[id] = r.Key
	var part *s3test.Content
	if x/10000%2 == 0 {
		part = s3test.Bytes("a part of another client's upload")
		n.mu.withPart = append(n.mu.withPart, id)
	}
	n.server.BeginUpload(bucketName, r.Key, id, part)
	n.mu.acts++
	n.mu.told = append(n.mu.told, fmt.Sprintf("%15.9f before %s %q, another client begins the upload %s, with a part: %t", time.Since(n.began).Seconds(), r.Op, r.Key, id, part != nil))
}

var worst = []string{"HeadObject", "CopyObject", "CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload", "UpdateObjectEncryption", "GetObjectTagging",
	"PutObjectTagging"}

// act does something to a key. What no condition of S3 guards, tags and holds, it
// changes only where the job is about to look at it: between that look and the copy is
// a moment in which such a change is lost, as the README says.
//
// REQUIRES: n.mu.
func (n *night) act(key string, x uint64, atHold, atTags bool) {
	f := n.mu.touched[key]
	if f == nil {
		f = &foreign{}
	}
	cur, there := n.server.Get(bucketName, key, "")
	if cur.DeleteMarker {
		there = false
	}
	switch {
	case x%5 < 2 || !there && x%5 < 4:
		o := s3test.Object{Key: key, Body: s3test.Bytes(fmt.Sprintf("of another client, %d", x))}
		o.Encryption.Type = object.SSES3
		o.Metadata = map[string]string{"by": "another"}
		n.server.Put(bucketName, o)
		*f = foreign{written: &o}
	case x%5 == 2 && !cur.LegalHold && cur.LockMode == "":
		if n.plan.bucket.Versioning == "" {
			n.server.Remove(bucketName, key, "")
		} else {
			n.server.Put(bucketName, s3test.Object{Key: key, DeleteMarker: true})
		}
		*f = foreign{deleted: true}
	case there && x%5 == 4 && n.plan.bucket.ObjectLock && atHold:
		n.server.Modify(bucketName, key, "", func(a *s3test.Attrs) { a.LegalHold = true })
		f.held = true
	case there && atTags && !(x%5 == 4 && n.plan.bucket.ObjectLock):
		tags := []object.Tag{{Key: "set by", Value: fmt.Sprint("another ", x)}}
		n.server.Modify(bucketName, key, "", func(a *s3test.Attrs) { a.Tags = tags })
		f.tags = tags
	default:
		return
	}
	n.mu.touched[key] = f
	n.mu.acts++
}
