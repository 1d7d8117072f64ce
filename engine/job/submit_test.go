package job

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
	"github.com/resealhq/reseal/engine/s3test/s3control"
)

// batchBench is a bench with an S3 Control, and a bucket whose objects are plain, where
// they have to be copied, or under SSE-S3, where they can be updated.
type batchBench struct {
	*bench
	ctl *s3control.Server
	key string
}

func newBatchBench(t *testing.T, cfg s3control.Config, b s3test.BucketConfig) *batchBench {
	t.Helper()
	bb := &batchBench{bench: newBench(t, s3test.Config{Seed: 7}, b, 0)}
	t.Setenv("AWS_ENDPOINT_URL_KMS", bb.URL())
	bb.key = bb.KMS.CreateKey("alias/new")
	bb.CreateBucket("jobs", s3test.BucketConfig{DefaultEncryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: bb.key}})
	bb.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: bb.key}
	cfg.Store = bb.Server
	bb.ctl = s3control.New(cfg)
	t.Cleanup(bb.ctl.Close)
	t.Setenv("AWS_ENDPOINT_URL_S3_CONTROL", bb.ctl.URL())
	return bb
}

// fill stores n objects below a prefix.
func (b *batchBench) fill(n int, prefix string, sse object.SSE) {
	b.Fill("b", n, func(i int) string { return fmt.Sprintf("%s%05d", prefix, i) }, s3test.Bytes("body"), s3test.Attrs{Encryption: object.Encryption{Type: sse}})
}

func (b *batchBench) options() SubmitOptions {
	return SubmitOptions{RoleARN: "arn:aws:iam::111122223333:role/batch", ManifestTo: Place{Bucket: "jobs", Prefix: "control/"}, AccountID: "111122223333",
		Follow: true, Confirm: func(*SubmitOrder) (bool, error) { return true, nil }, Poll: 2 * time.Millisecond, ReportWait: 5 * time.Second}
}

// TestSubmit: what the service can do it does, what fails is done by Run, and every
// object is changed once: an update leaves one version, a copy two.
func TestSubmit(t *testing.T) {
	odd := []string{"odd/a b", "odd/a+b", "odd/a%20b", "odd/a%2Bb", "odd/ä,\"q\"", "odd/100%", "odd/a&b=c", "odd/\n"}
	for name, cfg := range map[string]s3control.Config{
		"as in the manifest": {RowsPerFile: 150},
		"raw":                {Keys: s3control.Raw, RowsPerFile: 150, Stale: 2, ReportLate: 50 * time.Millisecond},
		"with plus":          {Keys: s3control.EncodedPlus, NumbersLast: true, ThrottleEvery: 11},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBatchBench(t, cfg, s3test.BucketConfig{Versioning: "Enabled"})
			b.fill(300, "plain/", object.SSENone)
			b.fill(300, "sse/", object.SSES3)
			for _, key := range odd {
				b.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("odd"), Attrs: s3test.Attrs{Tags: []object.Tag{{Key: "k", Value: "v"}}}})
			}
			b.Put("b", s3test.Object{Key: "large", Body: s3test.Synthetic(3, 5_368_709_121)})
			b.Put("b", s3test.Object{Key: "ia", Body: s3test.Bytes("ia"), Attrs: s3test.Attrs{StorageClass: "STANDARD_IA"}})
			b.ctl.SetFault(failing)
			j := b.planned(t, Policy{})
			before := b.Snapshot("b")
			var told *SubmitOrder
			o := b.options()
			o.Tell = func(s *SubmitOrder) { told = s }
			done, err := j.Submit(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if told.Updates != 300 || told.Copies != uint64(300+len(odd)+1) || told.ForRun["too-large"]+told.ForRun["unsupported"] != 1 || told.Jobs != 3 || told.JobsCost != 0.75 {
				t.Errorf("%+v", told)
			}
			if done.Remaining == 0 || done.Remaining > 10 || done.Open != 0 {
				t.Errorf("%d of %d remain, %d jobs are open", done.Remaining, done.Planned, done.Open)
			}
			var read SubmissionRead
			for _, s := range done.Jobs {
				read.Done, read.Failed, read.Found, read.Unknown, read.Unreported = read.Done+s.Read.Done, read.Failed+s.Read.Failed, read.Found+s.Read.Found, read.Unknown+s.Read.Unknown, read.Unreported+s.Read.Unreported
			}
			if read.Failed != 6 || read.Unreported > 4 || read.Found != 2+read.Unreported || read.Already != 0 {
				t.Errorf("%+v", read)
			}
			sum, err := j.Run(t.Context(), Options{})
			if err != nil || !sum.Complete || sum.Failed+sum.Left+sum.Remaining != 0 {
				t.Fatalf("%v %+v", err, sum)
			}
			b.doneOnce(t, before)
			verdict, err := j.Verify(t.Context(), VerifyOptions{NoDependents: true})
			if err != nil || !verdict.OK {
				t.Errorf("%v %+v", err, verdict)
			}
		})
	}
}

// failing is the fault of one task in a hundred. Of two the object was changed all the
// same.
func failing(key string) *s3control.Fault {
	if !strings.HasSuffix(key, "50") {
		return nil
	}
	return &s3control.Fault{Status: 503, Code: "SlowDown", Message: "Please reduce your request rate.", Applied: strings.HasSuffix(key, "00050")}
}

// doneOnce fails where an object is not as wanted, or was changed more than once.
func (b *batchBench) doneOnce(t *testing.T, before s3test.Bucket) {
	t.Helper()
	versions, was := map[string]int{}, map[string]object.SSE{}
	for _, o := range before.Objects {
		if o.Latest {
			was[o.Key] = o.Encryption.Type
		}
		versions[o.Key]--
	}
	for _, o := range b.Snapshot("b").Objects {
		versions[o.Key]++
		if o.Latest && o.Encryption.Type != object.SSEKMS {
			t.Errorf("%q is under %s", o.Key, o.Encryption.Type)
		}
	}
	for key, more := range versions {
		want := 1
		if was[key] == object.SSES3 {
			want = 0
		}
		if more != want {
			t.Errorf("%q has %d versions more, want %d", key, more, want)
		}
	}
}

// TestSubmitDoesNothingTwice: what fails to be told is asked about. Every reply of S3
// Control is lost once, and each time another process goes on.
func TestSubmitDoesNothingTwice(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(40, "plain/", object.SSENone)
	j := b.planned(t, Policy{})
	before := b.Snapshot("b")
	for _, op := range []string{"CreateJob", "DescribeJob", "UpdateJobStatus", "DescribeJob", ""} {
		lost := make(chan struct{})
		var once sync.Once
		if op != "" {
			b.ctl.LoseReply(op)
			b.ctl.Before(func(now string) {
				if now == op {
					once.Do(func() { close(lost) })
				}
			})
		}
		o := b.options()
		o.Options.Stop = lost
		_, err := j.Submit(t.Context(), o)
		if op != "" && !errors.Is(err, ErrInterrupted) && err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		if n := len(b.ctl.Jobs()); n > 1 {
			t.Fatalf("%d jobs were made", n)
		}
		if j, err = Open(b.dir); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := j.Run(t.Context(), Options{})
	if err != nil || sum.Done != 40 {
		t.Errorf("%v %+v", err, sum)
	}
	b.doneOnce(t, before)
}

// TestRunWaitsForSubmitted: nobody works on what others may be at work on.
func TestRunWaitsForSubmitted(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(10, "plain/", object.SSENone)
	j := b.planned(t, Policy{})
	o := b.options()
	o.Follow, o.Confirm = false, nil
	done, err := j.Submit(t.Context(), o)
	if !errors.Is(err, ErrUnconfirmed) || done.Open != 1 || done.Jobs[0].Status != "Suspended" {
		t.Fatalf("%v %+v", err, done)
	}
	if _, err := j.Run(t.Context(), Options{}); err == nil {
		t.Fatal("Run began")
	} else {
		wantUnusable(t, err, "S3 Batch Operations", done.Jobs[0].ID)
	}
	if s, err := j.Status(); err != nil || s.State != "waiting" || len(s.Submitted) != 1 {
		t.Errorf("%v %+v", err, s)
	}
	o.Cancel = true
	done, err = j.Submit(t.Context(), o)
	if !errors.Is(err, ErrBatchCanceled) || done.Open != 0 || done.Remaining != 10 {
		t.Fatalf("%v %+v", err, done)
	}
	sum, err := j.Run(t.Context(), Options{})
	if err != nil || sum.Done != 10 {
		t.Errorf("%v %+v", err, sum)
	}
}

// TestSubmitAgain: what a job that failed has left can be given again, as another job.
func TestSubmitAgain(t *testing.T) {
	b := newBatchBench(t, s3control.Config{FailAfter: 24}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(100, "plain/", object.SSENone)
	b.ctl.SetFault(func(key string) *s3control.Fault {
		if key > "plain/00007" {
			return &s3control.Fault{Status: 403, Code: "AccessDenied"}
		}
		return nil
	})
	j := b.planned(t, Policy{})
	before := b.Snapshot("b")
	done, err := j.Submit(t.Context(), b.options())
	if !errors.Is(err, ErrBatchFailed) || done.Jobs[0].Read.Done != 8 || done.Jobs[0].Read.Codes["403 AccessDenied"] != 16 || done.Remaining != 92 {
		t.Fatalf("%v %+v", err, done.Jobs[0].Read)
	}
	b.ctl.SetFault(nil)
	if done, err = j.Submit(t.Context(), b.options()); err != nil || done.Remaining != 0 || len(done.Jobs) != 2 {
		t.Fatalf("%v %+v", err, done)
	}
	b.doneOnce(t, before)
}

// TestSubmitOnlyWhatLosesNothing: what a copy of the service would lose, or could not be
// guarded, is left for Run, which does it.
func TestSubmitOnlyWhatLosesNothing(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter", ObjectLock: true})
	put := func(key string, a s3test.Attrs) {
		b.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("x"), Attrs: a})
	}
	put("plain", s3test.Attrs{Tags: []object.Tag{{Key: "k", Value: "v"}}, CacheControl: "no-cache", Metadata: map[string]string{"m": "v"}})
	put("grants", s3test.Attrs{Grants: []object.Grant{{ID: "reader", Permission: "READ"}}})
	put("held", s3test.Attrs{LegalHold: true})
	put("redirect", s3test.Attrs{Redirect: "/elsewhere"})
	put("reduced", s3test.Attrs{StorageClass: "REDUCED_REDUNDANCY"})
	put("archived", s3test.Attrs{StorageClass: "GLACIER"})
	j := b.planned(t, Policy{})
	before := b.Snapshot("b")
	var order *SubmitOrder
	o := b.options()
	o.Tell = func(s *SubmitOrder) { order = s }
	done, err := j.Submit(t.Context(), o)
	if err != nil || order.Copies != 1 || done.Jobs[0].Read.Done != 1 {
		t.Fatalf("%v %+v", err, order)
	}
	for _, why := range []string{"acl", "lock", "class", "decided"} {
		if order.ForRun[why] == 0 {
			t.Errorf("nothing is left for %s: %v", why, order.ForRun)
		}
	}
	if _, err := j.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	want := check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: b.key}, Intent: func(o s3test.Object) check.Intent {
		if o.Key == "archived" {
			return check.Keep
		}
		return check.Change
	}}
	for _, d := range check.Bucket(b.Server, before, want).Differences {
		t.Errorf("%v", d)
	}
}

// TestSubmitBelievesNoReport: rows that say succeeded and are not true are seen, by the
// sample too where a report would be enough.
func TestSubmitBelievesNoReport(t *testing.T) {
	for _, verify := range []Verify{VerifyAuto, VerifyResponse} {
		b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
		b.fill(400, "sse/", object.SSES3)
		other := b.KMS.CreateKey("alias/other")
		j := b.planned(t, Policy{Verify: verify})
		o := b.options()
		o.Progress = func(s *Submission) {
			if s.Status == "Complete" { // somebody changes them, after the service did
				for i := range 200 {
					b.Put("b", s3test.Object{Key: fmt.Sprintf("sse/%05d", i), Body: s3test.Bytes("new"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: other}}})
				}
			}
		}
		done, err := j.Submit(t.Context(), o)
		if err != nil || done.Jobs[0].Read.Unproved != 200 || done.Jobs[0].Read.Done != 200 {
			t.Errorf("%s: %v %+v", verify, err, done.Jobs[0].Read)
		}
	}
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(400, "sse/", object.SSES3)
	j := b.planned(t, Policy{Verify: VerifyResponse})
	b.ResetRequests()
	if _, err := j.Submit(t.Context(), b.options()); err != nil {
		t.Fatal(err)
	}
	if n := b.Count("HeadObject"); n < 90 || n > 140 {
		t.Errorf("%d HEADs, want a sample of 100", n)
	}
	r, err := j.openRecords()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	onWord := 0
	if err := r.Rows(func(_ *object.Task, o *object.Outcome) error {
		if o.Reason == object.ReasonReply {
			onWord++
		}
		return nil
	}); err != nil || onWord != 300 {
		t.Errorf("%d rows say that they are done on a word, %v", onWord, err)
	}
}

// TestSubmitRecordIsChecked: what was edited is not believed, and nothing is done.
func TestSubmitRecordIsChecked(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(10, "plain/", object.SSENone)
	j := b.planned(t, Policy{})
	o := b.options()
	o.Follow = false
	if _, err := j.Submit(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.ctl.Wait(s3control.Complete, 5*time.Second)
	path := j.path(submitName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, spoil := range map[string]func(string) string{
		"head":       func(s string) string { return strings.Replace(s, "submit 1 ", "submit 1 0", 1) },
		"unknown":    func(s string) string { return strings.Replace(s, `"kind":"created"`, `"kind":"made"`, 1) },
		"other ID":   func(s string) string { return strings.Replace(s, `"id":"`, `"id":"../`, 1) },
		"no members": func(s string) string { return strings.Replace(s, `"members":"`, `"members":"00`, 1) },
		"twice":      func(s string) string { return s + strings.SplitAfter(s, "\n")[2] },
	} {
		if err := os.WriteFile(path, []byte(spoil(string(whole))), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := j.Submit(t.Context(), o)
		wantUnusable(t, err, "submit.record")
		_, err = j.Run(t.Context(), Options{})
		wantUnusable(t, err, "submit.record")
	}
	if err := os.WriteFile(path, append(whole, `{"kind":"re`...), 0o600); err != nil { // cut by a crash
		t.Fatal(err)
	}
	edit(t, j.submissionFile(1)+".members", "\n", "\n\x01")
	_, err = j.Submit(t.Context(), o)
	wantUnusable(t, err, "members")
}
