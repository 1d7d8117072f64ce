package job

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/s3control"
)

// TestSubmitVersions: every version is updated by its ID, by jobs of their own, and none is
// added.
func TestSubmitVersions(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
	for range 3 {
		b.fill(50, "sse/", object.SSES3)
	}
	b.spec.Selection.Versions = "all"
	j := b.planned(t, Policy{})
	o := b.options()
	o.ObjectsPerJob = 60
	done, err := j.Submit(t.Context(), o)
	if err != nil || done.Remaining != 0 || len(done.Jobs) != 3 {
		t.Fatalf("%v %+v", err, done)
	}
	for _, s := range b.ctl.Jobs() {
		if !s.Versions {
			t.Errorf("%+v", s)
		}
	}
	all := b.Snapshot("b").Objects
	for _, o := range all {
		if o.Encryption.Type != object.SSEKMS {
			t.Errorf("%s?%s is under %s", o.Key, o.VersionID, o.Encryption.Type)
		}
	}
	if len(all) != 150 {
		t.Errorf("%d versions", len(all))
	}
}

// TestSubmitNamedTwice: an object that its source names twice is in one manifest, once.
func TestSubmitNamedTwice(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(20, "plain/", object.SSENone)
	list := filepath.Join(t.TempDir(), "keys.csv")
	var rows strings.Builder
	for i := range 20 {
		fmt.Fprintf(&rows, "b,plain/%05d\nb,plain%%2F%05d\n", i, i)
	}
	if err := os.WriteFile(list, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	b.spec.Source = Source{Bucket: "b", Manifest: list, ManifestFormat: "csv"}
	j := b.planned(t, Policy{})
	before := b.Snapshot("b")
	done, err := j.Submit(t.Context(), b.options())
	if err != nil || done.Order.Copies != 20 || done.Order.ForRun["named-twice"] != 20 {
		t.Fatalf("%v %+v", err, done)
	}
	if _, err := j.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	b.doneOnce(t, before)
}

// TestSubmitReadsNoBrokenReport: where a report cannot be read, or is another one, every
// task is asked about, and nothing is done twice.
func TestSubmitReadsNoBrokenReport(t *testing.T) {
	for name, spoil := range map[string]func(b *batchBench, key string, o *s3test.Object){
		"no JSON": func(_ *batchBench, key string, o *s3test.Object) { replaced(key, "manifest.json", o, "<html>") },
		"another MD5": func(_ *batchBench, key string, o *s3test.Object) {
			replaced(key, ".csv", o, "b,plain/00001,,succeeded,200,,")
		},
		"other bucket": func(_ *batchBench, key string, o *s3test.Object) {
			replaced(key, "manifest.json", o, `{"Results":[{"Bucket":"b","Key":"plain/00001"}]}`)
		},
		"another job": func(_ *batchBench, key string, o *s3test.Object) {
			replaced(key, "manifest.json", o, `{"Results":[{"Bucket":"jobs","Key":"control/x/job-other/results/1.csv"}]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
			b.fill(30, "plain/", object.SSENone)
			j := b.planned(t, Policy{})
			before := b.Snapshot("b")
			o := b.options()
			o.Progress = func(s *Submission) {
				if s.Status != "Complete" {
					return
				}
				for _, o := range b.Snapshot("jobs").Objects {
					if strings.Contains(o.Key, "/job-") {
						spoil(b, o.Key, &o)
						b.Put("jobs", o)
					}
				}
			}
			done, err := j.Submit(t.Context(), o)
			if err != nil || !done.Jobs[0].Read.NoReport || done.Jobs[0].Read.Done != 30 || done.Jobs[0].Read.Found != 30 {
				t.Fatalf("%v %+v", err, done.Jobs[0].Read)
			}
			b.doneOnce(t, before)
		})
	}
}

func replaced(key, what string, o *s3test.Object, text string) {
	if strings.HasSuffix(key, what) {
		o.Body, o.ETag = s3test.Bytes(text), ""
	}
}

// TestSubmitWithoutAReport: who may not write it, or where it does not come, leaves the
// store to be asked.
func TestSubmitWithoutAReport(t *testing.T) {
	b := newBatchBench(t, s3control.Config{ReportLate: 1 << 40}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(30, "plain/", object.SSENone)
	b.ctl.SetFault(func(key string) *s3control.Fault {
		if key == "plain/00007" {
			return &s3control.Fault{Status: 403, Code: "AccessDenied"}
		}
		return nil
	})
	j := b.planned(t, Policy{})
	before := b.Snapshot("b")
	o := b.options()
	o.ReportWait = 20 * o.Poll
	done, err := j.Submit(t.Context(), o)
	if err != nil || !done.Jobs[0].Read.NoReport || done.Jobs[0].Read.Done != 29 || done.Remaining != 1 {
		t.Fatalf("%v %+v", err, done.Jobs[0].Read)
	}
	if _, err := j.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	b.doneOnce(t, before)
}

// TestSubmitThatS3Refuses: what was not made is given up, and Run is free.
func TestSubmitThatS3Refuses(t *testing.T) {
	for name, spoil := range map[string]func(b *batchBench, o *SubmitOptions){
		"account":   func(_ *batchBench, o *SubmitOptions) { o.AccountID = "999999999999" },
		"manifests": func(b *batchBench, _ *SubmitOptions) { b.ConfigureBucket("jobs", denies("s3:PutObject")) },
		"no bucket": func(_ *batchBench, o *SubmitOptions) { o.ManifestTo.Bucket = "nowhere" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
			b.fill(10, "plain/", object.SSENone)
			b.fill(10, "sse/", object.SSES3)
			j := b.planned(t, Policy{})
			o := b.options()
			spoil(b, &o)
			done, err := j.Submit(t.Context(), o)
			if c := object.ClassOf(err); c != object.ClassDenied && c != object.ClassNoBucket || done.Open != 0 || !done.Jobs[0].Withdrawn || !done.Jobs[1].Withdrawn {
				t.Fatalf("%v %+v", err, done)
			}
			if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 20 {
				t.Errorf("%v %+v", err, sum)
			}
		})
	}
}

func denies(action string) func(*s3test.BucketConfig) {
	return func(c *s3test.BucketConfig) { c.Deny = append(c.Deny, s3test.Deny{Action: action}) }
}

// TestSubmitAfterNinetyDays: a job that S3 has forgotten is given up by Cancel, which finds
// out what it did.
func TestSubmitAfterNinetyDays(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(10, "plain/", object.SSENone)
	j := b.planned(t, Policy{})
	o := b.options()
	o.Follow = false
	if _, err := j.Submit(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.ctl.Wait(s3control.Complete, 1<<33)
	b.ctl.Forget()
	if _, err := j.Submit(t.Context(), o); object.ClassOf(err) != object.ClassGone || !strings.Contains(err.Error(), "90 days") {
		t.Errorf("%v", err)
	}
	o.Cancel = true
	done, err := j.Submit(t.Context(), o)
	if !errors.Is(err, ErrBatchCanceled) || done.Remaining != 0 || done.Jobs[0].Read.Done != 10 {
		t.Errorf("%v %+v", err, done.Jobs[0].Read)
	}
}

// TestRunAsksAboutWhatWasSubmitted: without the record, as from an older copy of the
// directory, the checkpoint alone keeps Run from doing again what others did. Tasks that
// were never submitted are not in doubt.
func TestRunAsksAboutWhatWasSubmitted(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter"})
	b.fill(30, "plain/", object.SSENone)
	b.Put("b", s3test.Object{Key: "granted", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Grants: []object.Grant{{ID: "reader", Permission: "READ"}}}})
	j := b.planned(t, Policy{})
	before := b.Snapshot("b")
	o := b.options()
	o.Follow = false
	if _, err := j.Submit(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b.ctl.Wait(s3control.Complete, 1<<33)
	if err := os.Remove(j.path(submitName)); err != nil {
		t.Fatal(err)
	}
	b.ResetRequests()
	sum, err := j.Run(t.Context(), Options{})
	if err != nil || sum.Done != 31 {
		t.Fatalf("%v %+v", err, sum)
	}
	for _, r := range b.Requests("CopyObject") {
		if strings.HasPrefix(r.Key, "plain/") {
			t.Errorf("%s was copied again", r.Key)
		}
	}
	b.doneOnce(t, before)
	inferred := map[string]bool{}
	r, err := j.openRecords()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Rows(func(t *object.Task, o *object.Outcome) error { inferred[t.Object.Key] = o.Inferred; return nil }); err != nil {
		t.Fatal(err)
	}
	if inferred["granted"] || !inferred["plain/00000"] {
		t.Errorf("found after others: %v", inferred)
	}
}

// TestSubmitOverNullVersions: where versioning was suspended before S3 copied, each row says
// whose place its copy has taken.
func TestSubmitOverNullVersions(t *testing.T) {
	b := newBatchBench(t, s3control.Config{}, s3test.BucketConfig{Versioning: "Enabled"})
	b.fill(5, "plain/", object.SSENone)
	j := b.planned(t, Policy{})
	o := b.options()
	o.Confirm = func(*SubmitOrder) (bool, error) {
		b.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Suspended" })
		return true, nil
	}
	if done, err := j.Submit(t.Context(), o); err != nil || done.Remaining != 0 {
		t.Fatalf("%v %+v", err, done)
	}
	points, _, err := j.openReader()
	if err != nil {
		t.Fatal(err)
	}
	defer points.Close()
	err = points.Rows(func(task *object.Task, out *object.Outcome) error {
		if out == nil || out.NewVersionID != object.NullVersion || !strings.Contains(out.Message, "took the place of the key's null version") {
			t.Errorf("%s: %+v", task.Object.Key, out)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
