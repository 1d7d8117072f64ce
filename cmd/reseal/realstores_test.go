//go:build stores

package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// The encryptions that objects of these tests are under. Others are names of KMS
// keys.
const (
	underNone  = "none"
	underS3    = "AES256"
	underOld   = "the old customer key"
	underFresh = "the fresh customer key"
)

// realStore is a store, and what it is known to do.
type realStore struct {
	name  string
	start func(testing.TB, realserver.Options) *realserver.Server
	under []string // what its objects are put under
	// oddKeys is how many of the odd keys it must take at least, but not those that it
	// lists under another name.
	oddKeys  int
	misnamed []string
	// uncopied are keys that no copy there takes, by target; those under "" for each.
	uncopied map[string][]string
	// misorders: with versions it lists odd keys out of order, at which a job stops.
	misorders bool
	// guards: it honours conditions, so that nothing has to be said of other writers.
	guards bool
	// refused are targets that it does not have.
	refused [][]string
	// unknown is a target with a KMS key that it does not know.
	unknown []string
	// fates say what comes of an object by the target of the job and by what the object
	// was under. A target that is not named is not tried.
	fates map[string]map[string]string
}

var realStores = []realStore{
	{name: "Ceph", start: realserver.StartCeph, under: []string{underNone, "key-a", "key-b", underOld}, oddKeys: 50,
		refused: [][]string{{"--sse", "AES256"}}, unknown: []string{"--sse", "aws:kms", "--sse-kms-key-id", "nobody"},
		fates: map[string]map[string]string{
			"key-b":    {underNone: "done", "key-a": "done", "key-b": "already", underOld: "failed", underFresh: "failed"},
			underFresh: {underNone: "done", "key-a": "done", "key-b": "done", underOld: "failed", underFresh: "already"},
		}},
	{name: "SeaweedFS", start: realserver.StartSeaweedFS, under: []string{underNone, underS3, "key-a", "key-b", underOld}, oddKeys: 35, misnamed: []string{"ctl\x01", "\uffff"},
		uncopied: map[string][]string{"": {"dir/", "dir/sub/"}, "key-b": {"tab\there", "line\nbreak"}}, misorders: true, guards: true,
		fates: map[string]map[string]string{
			"key-b":    {underNone: "done", underS3: "done", "key-a": "done", "key-b": "already", underOld: "done", underFresh: "done"},
			underS3:    {underNone: "done", underS3: "already", "key-a": "done", "key-b": "done", underOld: "done", underFresh: "done"},
			underFresh: {underNone: "done", underS3: "done", "key-a": "done", "key-b": "done", underOld: "done", underFresh: "already"},
		}},
}

// neverThere are targets and operations that neither store has.
var neverThere = [][]string{
	{"--sse", "aws:kms:dsse", "--sse-kms-key-id", "key-b"},
	{"--sse", "aws:kms", "--sse-kms-key-id", "key-b", "--operation", "update"},
}

// TestStoresRun runs jobs on real stores, to every target that they have one after the
// other and to those that they only seem to have, and looks at every object with
// another client: what the report says is done is done, all else is as it was, and
// what could destroy an object there is never sent.
func TestStoresRun(t *testing.T) {
	for _, store := range realStores {
		t.Run(store.name, func(t *testing.T) {
			server := store.start(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
			rec := record(t, server)
			old, fresh := newCustomer(t, "old"), newCustomer(t, "fresh")
			var targets []string
			for _, target := range []string{"key-b", underS3, underFresh} {
				if store.fates[target] != nil {
					targets = append(targets, target)
				}
			}
			for _, versioning := range []types.BucketVersioningStatus{"", types.BucketVersioningStatusEnabled} {
				r := &realRun{bed: newBed(t, server, strings.ToLower("versioning-"+string(versioning)+"-x")), store: &store, rec: rec, old: old, fresh: fresh}
				r.env = rec.env(t)
				r.bucketVersioning(versioning)
				r.seedStore(versioning != "")
				if versioning == "" {
					if !store.guards { // where versions are kept, what is written over stays
						r.accept = []string{"--accept", "concurrent-writes"}
					}
					r.refusals()
				}
				for _, target := range targets {
					t.Run(cell(fmt.Sprintf("%s to %s", versioning, target)), func(t *testing.T) {
						r.T = t
						r.to(target)
					})
				}
				r.T = t
				slices.Reverse(targets) // objects come to each from another one
			}
		})
	}
}

type realRun struct {
	*bed
	store      *realStore
	rec        *recorder
	old, fresh customer
	objects    map[string]*stored
	accept     []string
}

// stored is an object as it should be.
type stored struct {
	under    string
	is       thing
	versions int
}

func (r *realRun) keys() (keys []string) {
	for key := range r.objects {
		keys = append(keys, key)
	}
	return keys
}

// customer is the key that reads what is under one.
func (r *realRun) customer(under string) customer {
	return map[string]customer{underOld: r.old, underFresh: r.fresh}[under]
}

// refusals are jobs that must end before they touch anything: to what the store does
// not have, and without a word about other writers, whom it does not notice.
func (r *realRun) refusals() {
	r.Helper()
	for _, args := range slices.Concat(r.store.refused, neverThere) {
		r.refusal(2, slices.Concat(args, r.accept))
	}
	if r.store.unknown != nil {
		r.refusal(1, slices.Concat(r.store.unknown, r.accept))
	}
	if !r.store.guards {
		r.refusal(2, []string{"--sse", "aws:kms", "--sse-kms-key-id", "key-b"})
	}
	r.asWanted()
}

func (r *realRun) refusal(code int, args []string) {
	r.Helper()
	job := filepath.Join(r.TempDir(), "job")
	r.rec.taken()
	r.reseal(code, append([]string{"run", "s3://" + r.bucket, "--no-progress", "--job", job}, args...)...)
	nothingDangerous(r.T, r.rec.taken())
	if left, _ := filepath.Glob(job + "*"); code == 2 && len(left) > 0 {
		r.Errorf("%v left %v behind", args, left)
	}
}

// to runs a job and compares its report, and the bucket, with what has to come of it.
func (r *realRun) to(target string) {
	r.Helper()
	args := append([]string{"run", "s3://" + r.bucket, "--no-progress"}, r.accept...)
	switch target {
	case underS3:
		args = append(args, "--sse", "AES256")
	case underFresh:
		args = append(args, "--sse", "sse-c", "--sse-c-key-file", r.fresh.file)
	default:
		args = append(args, "--sse", "aws:kms", "--sse-kms-key-id", target)
	}
	given, other := underOld, underFresh // a job can be given one customer key to read with
	for _, o := range r.objects {
		if target != underFresh && o.under == underFresh {
			given, other = underFresh, underOld
			break
		}
	}
	args = append(args, "--source-sse-c-key-file", r.customer(given).file)
	code, fates := 0, map[string]string{}
	for key, o := range r.objects {
		fate := r.store.fates[target][o.under]
		switch {
		case o.under == other && target != other:
			fate = "left"
		case fate == "done" && slices.Contains(slices.Concat(r.store.uncopied[""], r.store.uncopied[target]), key):
			fate = "failed"
		case fate == "failed" && o.is.Body == "":
			fate = "done" // nothing is read of it
		}
		if fates[key] = fate; fate == "left" || fate == "failed" {
			code = 3
		}
	}
	job := filepath.Join(r.TempDir(), "job")
	r.rec.taken()
	r.reseal(code, append(args, "--job", job)...)
	nothingDangerous(r.T, r.rec.taken())
	rows, states, wrong := r.rows(job), map[string]int{}, 0
	for key, o := range r.objects {
		row := rows[key]
		if row["state"] != fates[key] {
			if wrong++; wrong < 12 {
				r.Errorf("%q, under %s, is %q, want %q: %s %s %s", key, o.under, row["state"], fates[key], row["reason"], row["error_code"], row["message"])
			}
		}
		states[strings.Join([]string{o.under, row["state"], row["reason"]}, " ")]++
		if row["state"] == "done" {
			o.under = target
			o.is.SSE, o.is.Key = shownUnder(target)
			if row["new_version_id"] != "" {
				o.versions++
			}
		}
	}
	r.Logf("%d objects: %v", len(r.objects), states)
	r.asWanted()
}

// asWanted looks at every object with another client.
func (r *realRun) asWanted() {
	r.Helper()
	for key, is := range r.lookAround() {
		if want := r.objects[key]; !reflect.DeepEqual(is, want.is) {
			r.Errorf("%q, under %s:\n want %.400q\n is   %.400q", key, want.under, fmt.Sprint(want.is), fmt.Sprint(is))
		}
	}
	for key, versions := range r.nothingElse(r.keys()) {
		if o := r.objects[key]; o != nil && len(versions) != o.versions {
			r.Errorf("%q has %d versions, want %d", key, len(versions), o.versions)
		}
	}
}

// lookAround reads every object, under the key that it should be under.
func (r *realRun) lookAround() map[string]thing {
	r.Helper()
	var mu sync.Mutex
	things := map[string]thing{}
	var g errgroup.Group
	g.SetLimit(8)
	for key, o := range r.objects {
		g.Go(func() error {
			is, err := r.lookUnder(key, r.customer(o.under))
			mu.Lock()
			defer mu.Unlock()
			things[key] = is
			return err
		})
	}
	if err := g.Wait(); err != nil {
		r.Fatal(err)
	}
	return things
}

// shownUnder is what GET shows of an object under an encryption.
func shownUnder(under string) (sse, key string) {
	switch under {
	case underNone, underOld, underFresh:
		return "", ""
	case underS3:
		return "AES256", ""
	}
	return "aws:kms", under
}

// seedStore puts objects of every kind under every encryption: empty ones, small ones
// with all that a copy can lose, ones that were uploaded in parts; and the odd keys
// that the store takes.
func (r *realRun) seedStore(versioned bool) {
	r.Helper()
	r.objects = map[string]*stored{}
	var g errgroup.Group
	g.SetLimit(8)
	for n, under := range r.store.under {
		for i := range 6 { // together these decide what an object has
			in := seedObject(r.bucket, 60*n+30+i, fmt.Sprintf("%s/object %d.bin", under, i))
			r.under(under, &in.ServerSideEncryption, &in.SSEKMSKeyId, &in.SSECustomerAlgorithm, &in.SSECustomerKey, &in.SSECustomerKeyMD5)
			r.objects[*in.Key] = &stored{under: under}
			g.Go(func() error {
				_, err := r.client.PutObject(r.Context(), in)
				return err
			})
		}
		key := under + "/in parts"
		r.objects[key] = &stored{under: under}
		g.Go(func() error { return r.seedParts(under, key) })
	}
	if err := g.Wait(); err != nil {
		r.Fatal(err)
	}
	if !versioned || !r.store.misorders {
		r.seedOdd()
	}
	for key, is := range r.lookAround() {
		o := r.objects[key]
		if sse, id := shownUnder(o.under); is.SSE != sse || is.Key != id {
			r.Fatalf("seeding %q: under %q %q, want %q %q", key, is.SSE, is.Key, sse, id)
		}
		o.is = is
	}
	for key, versions := range r.nothingElse(r.keys()) {
		if o := r.objects[key]; o != nil { // else it is an error by now
			o.versions = len(versions)
		}
	}
}

// seedOdd puts the odd keys; one that is not listed under its name is of no use here.
func (r *realRun) seedOdd() {
	r.Helper()
	for i, key := range oddKeys() { // one after the other: some shut others out
		if !slices.Contains(r.store.misnamed, key) {
			_, _ = r.client.PutObject(r.Context(), seedObject(r.bucket, i, key)) // some stores refuse some
		}
	}
	odd := 0
	for _, key := range r.list() {
		if r.objects[key] == nil {
			r.objects[key] = &stored{under: underNone}
			odd++
		}
	}
	if odd < r.store.oddKeys {
		r.Errorf("the store took %d odd keys: the test shows too little", odd)
	}
}

// seedParts uploads an object in two parts.
func (r *realRun) seedParts(under, key string) error {
	in := &s3.CreateMultipartUploadInput{Bucket: &r.bucket, Key: &key, Metadata: map[string]string{"made": "in parts"}, ContentType: aws.String("text/x-parts")}
	r.under(under, &in.ServerSideEncryption, &in.SSEKMSKeyId, &in.SSECustomerAlgorithm, &in.SSECustomerKey, &in.SSECustomerKeyMD5)
	up, err := r.client.CreateMultipartUpload(r.Context(), in)
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	for n, size := range []int{5 << 20, 100_000} {
		p := &s3.UploadPartInput{Bucket: &r.bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(n + 1)),
			Body: bytes.NewReader(bytes.Repeat([]byte(fmt.Sprint(under, n, "\n")), size)[:size])}
		if under == underOld {
			p.SSECustomerAlgorithm, p.SSECustomerKey, p.SSECustomerKeyMD5 = r.old.headers()
		}
		part, err := r.client.UploadPart(r.Context(), p)
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{PartNumber: p.PartNumber, ETag: part.ETag})
	}
	done := &s3.CompleteMultipartUploadInput{Bucket: &r.bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}
	if under == underOld { // which Ceph wants to see again since 2025
		done.SSECustomerAlgorithm, done.SSECustomerKey, done.SSECustomerKeyMD5 = r.old.headers()
	}
	_, err = r.client.CompleteMultipartUpload(r.Context(), done)
	return err
}

// under fills in the headers of an encryption.
func (r *realRun) under(under string, sse *types.ServerSideEncryption, id, algorithm, key, sum **string) {
	switch under {
	case underNone:
	case underS3:
		*sse = types.ServerSideEncryptionAes256
	case underOld:
		*algorithm, *key, *sum = r.old.headers()
	default:
		*sse, *id = types.ServerSideEncryptionAwsKms, aws.String(under)
	}
}
