package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// whoNeedsFlags are what who-needs takes: where to look, and how fast.
type whoNeedsFlags struct {
	source sourceFlags
	conn   connection
	how    howFlags
	out    outputFlags
}

func newWhoNeeds(a *app) *cobra.Command {
	var f whoNeedsFlags
	cmd := &cobra.Command{
		Use:   "who-needs KEY SOURCE… | KEY --all-buckets",
		Short: "May this KMS key go? What still depends on it; changes nothing",
		Long: `who-needs looks for everything in S3 that depends on a KMS key: current and noncurrent
versions, those that are locked, the default encryption, replication rules and inventory
configurations of the buckets. It says as well what it could not look at.

Exit codes: 3 something depends on the key; 0 nothing does, of all that was asked about;
1 nothing was found, and not everything could be looked at.`,
		Example: "  reseal who-needs alias/old s3://bucket s3://archive\n  reseal who-needs 1234abcd-12ab-34cd-56ef-1234567890ab --all-buckets --exclude-bucket 'tmp-*' --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.Question(cmd, args)
			if err != nil {
				return err
			}
			return a.whoNeeds(cmd.Context(), &f, q)
		},
	}
	set := cmd.Flags()
	f.source.addAllBuckets(set)
	f.source.AddFlags(set)
	f.conn.AddFlags(set)
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
	return cmd
}

// Question is what is asked.
func (f *whoNeedsFlags) Question(cmd *cobra.Command, args []string) (q job.KeyQuestion, err error) {
	if len(args) == 0 {
		return q, unusable(cmd.Name()+": KEY is missing", "name the KMS key by its ID, ARN or alias, and what to look at: who-needs KEY s3://BUCKET")
	}
	q = job.KeyQuestion{Key: args[0], Connection: f.conn.Connection}
	src, err := f.source.Source(args[1:])
	switch {
	case err != nil:
		return q, err
	case !src.Given():
		return q, unusable(cmd.Name()+": nothing to look at was named", "name it as s3://BUCKET[/PREFIX], once or several times, or say --all-buckets")
	case src.Folder != "":
		return q, refuseFolder(cmd.Name(), &src)
	case src.AllBuckets:
		q.AllBuckets, q.Patterns = true, src.Buckets
	case len(src.Several) > 0:
		for _, p := range src.Several {
			q.Sources = append(q.Sources, job.Source{Bucket: p.Bucket, Prefix: p.Prefix})
		}
	default:
		q.Sources = []job.Source{src}
	}
	return q, nil
}

func (a *app) whoNeeds(ctx context.Context, f *whoNeedsFlags, q job.KeyQuestion) error {
	limits, err := f.how.Limits()
	if err != nil {
		return err
	}
	count := &counting{what: "objects looked at"}
	q.Passed = func(rows int) { count.n.Add(int64(rows)) }
	end := (&console{w: a.stderr}).showCount(count, &f.out)
	answer, err := job.WhoNeeds(ctx, q, job.Options{Limits: limits, Log: f.out.log(a.stderr), Stdin: a.stdin, Version: readVersion().Version})
	end()
	if err != nil {
		return err
	}
	if f.out.json {
		err = a.printJSON(answer)
	} else {
		err = writeNeeds(a.stdout, answer)
	}
	switch {
	case err != nil:
		return fmt.Errorf("writing to standard output: %w", err)
	case answer.Verdict == job.KeyNeeded:
		return &neededError{answer.Key}
	case answer.Verdict == job.KeyUnknown:
		return fmt.Errorf("nothing was found that needs %s, and not everything could be looked at: see above, and do not let the key go before", object.Printable(answer.Key))
	}
	return nil
}

// neededError ends a look for dependants that found some: exit code 3.
type neededError struct{ key string }

func (e *neededError) Error() string { return object.Printable(e.key) + " is needed" }

// needsTotals are the sums over all places.
type needsTotals struct {
	versions, sources, settings, envelopes uint64
	bytes                                  int64
}

func totalNeeds(k *job.KeyAnswer) (t needsTotals) {
	for i := range k.Places {
		p := &k.Places[i]
		if p.Needed() {
			t.sources++
		}
		t.versions += p.Current.Objects + p.Noncurrent.Objects
		t.envelopes += p.Envelopes.Objects
		t.bytes += p.Current.Bytes + p.Noncurrent.Bytes
		t.settings += uint64(len(p.Settings))
	}
	return t
}

// writeNeeds begins with the verdict.
func writeNeeds(w io.Writer, k *job.KeyAnswer) error {
	p := &printer{w: w}
	t := totalNeeds(k)
	switch k.Verdict {
	case job.KeyNeeded:
		var by []string
		if t.versions > 0 {
			by = append(by, fmt.Sprintf("%s (%s)", plural(t.versions, "version"), humanize.IBytes(uint64(t.bytes))))
		}
		if t.envelopes > 0 {
			by = append(by, plural(t.envelopes, "client-side envelope"))
		}
		if t.settings > 0 {
			by = append(by, plural(t.settings, "setting"))
		}
		p.line("needed by %s, in %d of %s", strings.Join(by, " and "), t.sources, plural(uint64(len(k.Places)), "source"))
	case job.KeyNotNeeded:
		p.line("not needed by anything that was looked at, in %s", plural(uint64(len(k.Places)), "source"))
	default:
		p.line("not known: nothing was found that needs it, and not everything could be looked at")
	}
	p.line("key  %s%s", object.Printable(k.Key), keyState(k))
	for i := range k.Places {
		p.place(k, &k.Places[i])
	}
	p.line("")
	p.line("Not looked at:")
	for i := range k.Places {
		for _, what := range k.Places[i].NotLooked {
			p.line("  %s: %s", object.Printable(k.Places[i].Source), object.Printable(what))
		}
	}
	for _, what := range k.Limits {
		p.line("  %s", object.Printable(what))
	}
	return p.err
}

func keyState(k *job.KeyAnswer) (text string) {
	if k.ARN != "" && k.ARN != k.Key {
		text += " = " + object.Printable(k.ARN)
	}
	if k.State != "" {
		text += ", " + object.Printable(k.State)
	}
	if !k.LastUsed.IsZero() {
		text += ", last used " + k.LastUsed.UTC().Format(time.RFC3339) + " (" + object.Printable(k.Operation) + ")"
	}
	if r := k.Rotation; r != nil && r.Rotations > 0 {
		text += fmt.Sprintf(", material rotated %s, last %s: what older material encrypted needs the key as well", plural(uint64(r.Rotations), "time"), r.Last.Format(time.RFC3339))
	}
	return text
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) place(k *job.KeyAnswer, at *job.KeyPlace) {
	if !at.Needed() && at.Unanswered+at.ClientSide.Objects+at.StoreKey.Objects+at.Replicas.Objects+uint64(at.Uploads) == 0 {
		return
	}
	p.line("\n%s", object.Printable(at.Source))
	for _, row := range []struct {
		n    uint64
		size int64
		what string
	}{{at.Current.Objects, at.Current.Bytes, "current versions"}, {at.Noncurrent.Objects, at.Noncurrent.Bytes, "noncurrent versions"},
		{at.Locked.Objects, at.Locked.Bytes, "of them locked"}, {at.Envelopes.Objects, at.Envelopes.Bytes, "under client-side encryption whose data keys it wraps"}, {at.ClientSide.Objects, at.ClientSide.Bytes, "under client-side encryption: what wraps their keys S3 does not tell"},
		{at.Replicas.Objects, at.Replicas.Bytes, "under a replica of the key in another region, which they need in its place"},
		{at.StoreKey.Objects, at.StoreKey.Bytes, "under SSE-S3: under which key the store keeps theirs it does not tell"}} {
		if row.n > 0 {
			p.line("%12s %10s  %s", humanize.Comma(int64(row.n)), humanize.IBytes(uint64(max(0, row.size))), row.what)
		}
	}
	for _, s := range at.Settings {
		p.line("  %s names it", object.Printable(s))
	}
	if at.Uploads > 0 {
		p.line("  %s under way: under which key S3 does not tell", plural(uint64(at.Uploads), "multipart upload"))
	}
	if at.Unanswered > 0 {
		p.line("  %s could not be asked about; one of them: %s", plural(at.Unanswered, "version"), object.Printable(fmt.Sprint(at.Unanswer)))
	}
	p.next(k, at)
}

// next are the commands that free the key, as far as there are any.
func (p *printer) next(k *job.KeyAnswer, at *job.KeyPlace) {
	source, key := object.Printable(at.Source), object.Printable(cmp.Or(k.ARN, k.Key))
	if at.Current.Objects > 0 {
		p.line("  next: reseal run %s --only-encryption sse-kms=%s --sse aws:kms --sse-kms-key-id NEW-KEY --job DIR", source, key)
	}
	if at.Noncurrent.Objects > 0 {
		p.line("  next: the noncurrent versions: `reseal run --versions all` where the store updates a version in place, else `reseal prune --job DIR --versions noncurrent --only-encryption sse-kms=%s`, once the current ones are under another key", key)
	}
	if at.Envelopes.Objects > 0 {
		p.line("  next: reseal run %s --operation rewrap --source-cse-kms-key-id %s --cse-kms-key-id NEW-KEY --job DIR", source, key)
	}
	for _, s := range at.Settings {
		if s == "the default encryption" {
			p.line("  next: reseal bucket-encryption set %s --sse aws:kms --sse-kms-key-id NEW-KEY", source)
		}
	}
	if at.Uploads > 0 {
		p.line("  next: complete or abort the uploads, then ask again")
	}
}

func plural(n uint64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return humanize.Comma(int64(n)) + " " + noun
}
