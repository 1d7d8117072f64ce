package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

func newDemo(a *app) *cobra.Command {
	d := &demo{app: a}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole job against an embedded S3: no account, no server",
		Long: `demo fills an embedded S3, in memory and on a loopback port, with objects as old
buckets have them, brings them under a new KMS key with this very program, kills it in
the middle, resumes it, and compares every object with what it was before.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	cmd.Flags().IntVar(&d.objects, "objects", 3000, "how many objects")
	cmd.Flags().StringVar(&d.dir, "dir", "", "where to leave the job directory and the report; a temporary directory by default")
	return cmd
}

const demoBucket = "ten-years-of-uploads"

// demo is one performance. The store lives in this process, the job in children
// of it, so that the crash is a real one.
type demo struct {
	*app
	objects int
	dir     string

	store          *s3test.Server
	oldKey, newKey string
	job            string
	before         s3test.Bucket
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.stdout, format+"\n", args...) }

func (d *demo) run(ctx context.Context) error {
	if d.objects < 100 {
		return unusablef("100 are few enough", "--objects %d leaves nothing to see", d.objects)
	}
	if err := d.open(); err != nil {
		return err
	}
	defer d.store.Close()
	d.say("An embedded S3 listens on %s. Nothing leaves this machine.\n", d.store.URL())
	d.seed()
	d.say("1. The bucket as ten years have left it. The old key is …%s, the new one …%s", d.oldKey[len(d.oldKey)-4:], d.newKey[len(d.newKey)-4:])
	if err := d.audit(ctx); err != nil {
		return err
	}
	d.say("2. Every object is to be under the new key. The process is killed in the middle, as a power cut would")
	if err := d.killedRun(ctx); err != nil {
		return err
	}
	d.say("3. The same job again, by its directory alone")
	if err := d.resumedRun(ctx); err != nil {
		return err
	}
	d.say("4. The bucket now")
	if err := d.audit(ctx); err != nil {
		return err
	}
	d.say("5. Proof")
	return d.prove(ctx)
}

func (d *demo) open() (err error) {
	if d.dir == "" {
		d.dir, err = os.MkdirTemp("", "reseal-demo-")
	} else {
		err = os.MkdirAll(d.dir, 0o700)
	}
	if err != nil {
		return unusableBecause(err, "the demo's directory", "name one that you can write to with --dir")
	}
	d.job = filepath.Join(d.dir, "job")
	if _, err := os.Stat(d.job); err == nil {
		return unusablef("name another directory with --dir", "%s holds an earlier demo", d.dir)
	}
	d.store, err = s3test.Start(s3test.Config{})
	if err != nil {
		return fmt.Errorf("the embedded store cannot listen on 127.0.0.1: %w", err)
	}
	d.oldKey, d.newKey = d.store.KMS.CreateKey("alias/2016"), d.store.KMS.CreateKey("alias/2026")
	return nil
}

// seed fills the bucket with what old buckets hold. It is versioned, so that what
// a copy leaves behind can be seen.
func (d *demo) seed() {
	d.store.CreateBucket(demoBucket, s3test.BucketConfig{Versioning: "Enabled"})
	odd := []string{"a b", "a+b", "100%", "a%2Fb", "caf\u00e9", "cafe\u0301", "🦭/☕", "a//b", "/leading", `it's "quoted"`, "<&>", "trailing/", "line\nbreak"}
	for i := range d.objects {
		o := s3test.Object{Key: fmt.Sprintf("%d/%02d/upload-%05d.bin", 2016+i*10/d.objects, 1+i%12, i),
			LastModified: time.Date(2016, 1, 1, 0, 0, i*100, 0, time.UTC), Body: s3test.Synthetic(uint64(i), int64(i%97)*211)}
		if i < len(odd) {
			o.Key = odd[i]
		}
		switch i % 4 {
		case 0, 1: // from before 2023: not encrypted at all
		case 2:
			o.Encryption = object.Encryption{Type: object.SSES3}
		case 3:
			o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: d.oldKey}
		}
		if i%5 == 0 {
			o.Tags = []object.Tag{{Key: "project", Value: fmt.Sprint("p", i%7)}}
		}
		if i%6 == 0 {
			o.Metadata = map[string]string{"uploaded-by": fmt.Sprint("user-", i%31)}
			o.ContentType, o.CacheControl = "image/x-scan", "max-age=86400"
		}
		if i%50 == 0 {
			o.StorageClass = "STANDARD_IA"
		}
		d.store.Put(demoBucket, o)
	}
	d.before = d.store.Snapshot(demoBucket)
}

// audit lets the program itself count what is encrypted how.
func (d *demo) audit(ctx context.Context) error {
	if err := d.show(ctx, "audit", "s3://"+demoBucket, "--no-progress"); err != nil {
		return err
	}
	d.say("")
	return nil
}

// show runs this binary and lets its output through.
func (d *demo) show(ctx context.Context, args ...string) error {
	cmd, err := d.child(ctx, args...)
	if err != nil {
		return err
	}
	cmd.Stdout = d.stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("reseal %s: %w", args[0], err)
	}
	return nil
}

// child runs this very binary against the embedded store.
func (d *demo) child(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("this program does not find itself: %w", err)
	}
	typed := "reseal"
	for _, word := range args {
		typed += " " + object.ShellWord(word)
	}
	d.say("   $ %s", typed)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "reseal"
	cmd.Stderr = d.stderr
	cmd.Env = append(withoutAWS(os.Environ()),
		"AWS_ACCESS_KEY_ID="+s3test.DefaultCredentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+s3test.DefaultCredentials.SecretAccessKey,
		"AWS_REGION=us-east-1", "AWS_ENDPOINT_URL_S3="+d.store.URL(), "AWS_ENDPOINT_URL_KMS="+d.store.URL(),
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true")
	return cmd, nil
}

// withoutAWS keeps the person's own account out of the demo.
func withoutAWS(env []string) []string {
	return slices.DeleteFunc(env, func(e string) bool { return strings.HasPrefix(e, "AWS_") })
}

// killedRun kills the run when two fifths of the objects were written.
func (d *demo) killedRun(ctx context.Context) error {
	cmd, err := d.child(ctx, "run", "s3://"+demoBucket, "--sse", "aws:kms", "--sse-kms-key-id", "alias/2026", "--job", d.job)
	if err != nil {
		return err
	}
	var written atomic.Int64
	enough := make(chan struct{})
	d.store.OnReply(func(r s3test.Request) {
		if (r.Op == "CopyObject" || r.Op == "UpdateObjectEncryption") && !strings.Contains(r.Key, ".reseal-canary-") &&
			written.Add(1) == int64(d.objects*2/5) {
			close(enough)
		}
	})
	// A store in memory is too fast to be watched: this is what a real one takes.
	d.store.SetLatency(map[string]time.Duration{"CopyObject": 20 * time.Millisecond, "UpdateObjectEncryption": 10 * time.Millisecond, "HeadObject": 5 * time.Millisecond})
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("this program does not start itself: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return fmt.Errorf("the run ended before it could be killed: %w", cmp.Or(err, errors.New("it finished")))
	case <-enough:
	case <-ctx.Done():
		<-ended
		return job.ErrInterrupted
	}
	_ = cmd.Process.Kill()
	<-ended
	d.store.OnReply(nil)
	d.say("   … killed (SIGKILL) after %s of %s objects were written\n", humanize.Comma(written.Load()), humanize.Comma(int64(d.objects)))
	return nil
}

func (d *demo) resumedRun(ctx context.Context) error {
	cmd, err := d.child(ctx, "run", "--job", d.job, "--json")
	if err != nil {
		return err
	}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the resumed run did not finish: %w", err)
	}
	var sum report.Summary
	if err := json.Unmarshal(out, &sum); err != nil {
		return fmt.Errorf("the resumed run printed %q: %w", out, err)
	}
	d.say("   %s done: %s by UpdateObjectEncryption, which moves no data; %s by copy. %s failed, %s remain",
		humanize.Comma(int64(sum.Done)), humanize.Comma(int64(sum.Operations["update"])), humanize.Comma(int64(sum.Operations["copy"])),
		humanize.Comma(int64(sum.Failed)), humanize.Comma(int64(sum.Remaining)))
	if sum.Already > 0 {
		d.say("   %s were found as wanted: the killed process had sent their requests, and nobody had heard the answers", humanize.Comma(int64(sum.Already)))
	}
	d.say("")
	if !sum.Complete || sum.Done+sum.Already != uint64(d.objects) {
		return fmt.Errorf("of %d objects %d are done; the job directory %s tells why", d.objects, sum.Done, d.job)
	}
	return nil
}

// prove compares the store's own memory with what it held before, and leaves the
// report.
func (d *demo) prove(ctx context.Context) error {
	checked := check.Bucket(d.store, d.before, check.Expectation{
		Target: object.Target{SSE: object.SSEKMS, KMSKeyID: d.newKey, ShownKeyID: d.newKey},
		Extra:  d.objects, // requests that were in flight at the kill; counted below
	})
	for i, diff := range checked.Differences {
		if i == 10 {
			d.say("   … and %d more", len(checked.Differences)-i)
			break
		}
		d.say("   %s", diff)
	}
	if len(checked.Differences) > 0 {
		return fmt.Errorf("%s between the bucket before and after, in %s", report.Count(uint64(len(checked.Differences)), "difference"), d.job)
	}
	d.say("   %s objects compared with what they were: bytes, metadata, headers, tags, class. Only the encryption differs.", humanize.Comma(int64(d.objects)))
	if checked.Extra > 0 {
		d.say("   %d were written twice: their requests were in flight when the process was killed.", checked.Extra)
	}
	if err := d.show(ctx, "verify", "--job", d.job); err != nil {
		return err
	}
	path := filepath.Join(d.dir, "report.csv")
	if err := d.show(ctx, "report", "--job", d.job, "-o", path); err != nil {
		return err
	}
	if err := d.countRows(path); err != nil {
		return err
	}
	d.say("\nThe report, one row an object: %s\nThe job directory: %s", path, d.job)
	return nil
}

// countRows insists on one row an object.
func (d *demo) countRows(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return fmt.Errorf("the report %s: %w", path, err)
	}
	if len(rows) != d.objects+1 {
		return fmt.Errorf("the report %s has %d rows, not one for each of %d objects", path, len(rows)-1, d.objects)
	}
	return nil
}
