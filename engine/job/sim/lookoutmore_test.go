package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// onBed runs a test on a bed in fake time.
func onBed(t *testing.T, profile s3test.Profile, bucket s3test.BucketConfig, objects int, latency time.Duration, test func(t *testing.T, b *bed)) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	dir := filepath.Join(scratch(t), "job")
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, dir, profile, bucket, objects, latency)
		defer b.close()
		test(t, b)
	})
}

func withACLs(c *s3test.BucketConfig) { c.Ownership = "ObjectWriter" }

const cameACLs = "objects can have ACLs now"

// TestTheLastLook: a run of more than a minute looks at its end too, also where nobody had a
// reason to look before, and tells what may be lost and where to look it up.
func TestTheLastLook(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{}, 1, 50*time.Second, func(t *testing.T, b *bed) {
		b.atWrite(1, func() { b.server.ConfigureBucket(bucketName, withACLs) })
		err := b.run(job.Limits{})
		for _, what := range []string{cameACLs, "may have lost what others set in that time", "ACLs from before these were disabled", "`reseal report --job " + b.dir + "`"} {
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("the run ended with %v, which does not tell %q", err, what)
			}
		}
	})
}

// TestNothingIsCopiedByOldSettings: hours after the settings were read nothing is copied
// before somebody has looked at them again.
func TestNothingIsCopiedByOldSettings(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{}, 30, time.Second, func(t *testing.T, b *bed) {
		window, err := job.ParseWindow("08:00-20:00", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*time.Hour, func() { b.server.ConfigureBucket(bucketName, withACLs) })
		b.atWrite(1, func() {})
		if err := b.run(job.Limits{Window: window}); err == nil || !strings.Contains(err.Error(), cameACLs) || b.writes > 0 {
			t.Errorf("%d objects were copied, and the run ended with %v", b.writes, err)
		}
		if err := b.run(job.Limits{Window: window}); err != nil || b.writes != 30 {
			t.Errorf("%d objects were copied, and the second run ended with %v", b.writes, err)
		}
	})
}

// TestServersThatLagBehind: a server of the store that has not heard yet of what the others
// know stops no run.
func TestServersThatLagBehind(t *testing.T) {
	onBed(t, s3test.Profile{NoVersionsInReply: true}, s3test.BucketConfig{Versioning: "Enabled"}, 30, 10*time.Second, func(t *testing.T, b *bed) {
		asked := false
		keep := func(s string) {
			b.server.ConfigureBucket(bucketName, func(c *s3test.BucketConfig) { c.Versioning = s })
		}
		b.server.OnRequest(func(r s3test.Request) {
			b.writes += strings.Count(r.Op+" "+r.Key, "CopyObject k")
			if r.Op == "GetBucketVersioning" && b.writes > 0 && !asked {
				asked = true
				keep("")
				time.AfterFunc(3*time.Second, func() { keep("Enabled") })
			}
		})
		if err := b.run(job.Limits{}); err != nil || !asked {
			t.Errorf("asked %t, and the run ended with %v", asked, err)
		}
	})
}

// TestVersionsSuspendedUnderAnUpload: what a folder's files are written over may be a null
// version that a delete marker hides.
func TestVersionsSuspendedUnderAnUpload(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{Versioning: "Enabled"}, 0, 10*time.Second, func(t *testing.T, b *bed) {
		files := filepath.Join(filepath.Dir(b.dir), "files")
		if err := os.Mkdir(files, 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			if err := os.WriteFile(filepath.Join(files, fmt.Sprintf("k%02d", i)), []byte("body"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.spec.Source, b.spec.Target.DestBucket = job.Source{Folder: files}, bucketName
		b.atWrite(6, func() {
			b.server.ConfigureBucket(bucketName, func(c *s3test.BucketConfig) { c.Versioning = "Suspended" })
		})
		if err := b.run(job.Limits{}); err == nil || !strings.Contains(err.Error(), "versioning of s3://night was enabled and is suspended now") || b.writes > 15 {
			t.Errorf("%d files were uploaded, and the run ended with %v", b.writes, err)
		}
	})
}

// TestSettingsThatNobodyAnswers: a store that does not answer when it is asked for a setting
// holds no run up, neither in its middle nor at its end.
func TestSettingsThatNobodyAnswers(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{}, 30, 10*time.Second, func(t *testing.T, b *bed) {
		var began time.Time
		b.atWrite(1, func() {
			began = time.Now()
			if err := b.server.SetRules("(If GetBucketWebsite Stalled)"); err != nil {
				t.Error(err)
			}
		})
		if err := b.run(job.Limits{}); err != nil {
			t.Errorf("the run ended with %v", err)
		}
		if took := time.Since(began); took > 330*time.Second {
			t.Errorf("30 copies of 10 seconds took %v", took)
		}
	})
}

// reportsRule wants a rule that came in the middle of a run in all that tells of the job afterwards.
func (b *bed) reportsRule(rule string) {
	b.t.Helper()
	j, err := job.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer j.Close()
	s, err := j.Status()
	if err != nil || len(s.Rules) != 1 || s.Rules[0].Rule != rule || s.Rules[0].Before != object.NoLockRule || !s.Rules[0].After.Before(s.Rules[0].Seen) {
		b.t.Errorf("the status has %+v, %v", s.Rules, err)
	}
	var text, page strings.Builder
	if err := errors.Join(s.WriteText(&text), j.Report(b.t.Context(), &page, job.ReportOptions{Format: "html"})); err != nil {
		b.t.Error(err)
	}
	for name, told := range map[string]string{"summary": text.String(), "page": page.String()} {
		if !strings.Contains(told, "the bucket&#39;s rule for new objects is "+rule) && !strings.Contains(told, "the bucket's rule for new objects is "+rule) {
			b.t.Errorf("the %s does not tell of the rule:\n%s", name, told)
		}
	}
}
