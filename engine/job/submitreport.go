package job

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// What a report says of a task. Two rows that contradict each other, or a row that may
// mean either of two tasks, leave it open.
type rowSays uint8

const (
	saysNothing rowSays = iota
	saysSucceeded
	saysFailed
	saysEither
)

// Bounds of what is read of a report.
const (
	maxReportManifest = 16 << 20
	maxReportCodes    = 32
)

// completion is a completion report, held against the tasks of its submission.
type completion struct {
	*submitter
	sub   *Submission
	seqs  []uint64
	index []indexed // by hash
	words []rowSays // of seqs
	read  SubmissionRead
}

// indexed is a task by the hash of its name, at its place in seqs.
type indexed struct {
	hash uint64
	at   uint32
}

// readReport waits for the report of a job that has ended, and reads it. Without one no
// word is said about any task.
func (s *submitter) readReport(ctx context.Context, sub *Submission, seqs []uint64) (*completion, error) {
	c := &completion{submitter: s, sub: sub, seqs: seqs, words: make([]rowSays, len(seqs)), read: SubmissionRead{Codes: map[string]uint64{}}}
	err := c.readAll(ctx)
	var broken *brokenReport
	switch {
	case errors.As(err, &broken):
		s.log.Warn("the completion report cannot be read; every task of it is asked about", "job", sub.ID, "why", broken.Error())
		clear(c.words)
		c.read = SubmissionRead{NoReport: true}
	case err != nil:
		return nil, fmt.Errorf("the completion report of job %s: %w", sub.ID, err)
	}
	for _, w := range c.words {
		switch w {
		case saysSucceeded:
			c.read.Succeeded++
		case saysFailed:
			c.read.Failed++
		default:
			c.read.Unreported++
		}
	}
	return c, nil
}

// brokenReport is one that can be fetched and not be read.
type brokenReport struct{ what string }

func (e *brokenReport) Error() string { return e.what }

func (c *completion) readAll(ctx context.Context) error {
	files, err := c.awaitManifest(ctx)
	if err != nil || len(files) == 0 {
		return err
	}
	if err := c.indexTasks(); err != nil {
		return err
	}
	for _, f := range files {
		if err := c.readFile(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// reportFile is an entry of a report's manifest.
type reportFile struct {
	Bucket, Key, MD5Checksum string
}

// folder is where the report lies; everything else that its manifest names is refused.
func (c *completion) folder() string {
	return inPrefix(c.sub.Job.Report.Key, "job-"+c.sub.ID) + "/"
}

// awaitManifest reads the report's manifest, which may be late. A job that began no task
// may have none at all.
func (c *completion) awaitManifest(ctx context.Context) (files []reportFile, err error) {
	wait := c.opt.ReportWait
	if c.sub.Succeeded+c.sub.Failed == 0 && c.sub.Status != "Complete" {
		wait = min(wait, 10*c.opt.Poll)
	}
	ref := object.Ref{Bucket: c.sub.Job.Report.Bucket, Key: c.folder() + "manifest.json"}
	began := time.Now()
	for p := (pauses{c.opt.Poll}); ; {
		data, err := c.get(ctx, ref, maxReportManifest)
		switch {
		case err == nil:
			return c.filesOf(ref, data)
		case object.ClassOf(err) != object.ClassGone:
			return nil, err
		case time.Since(began) >= wait:
			c.read.NoReport = true
			c.log.Warn("there is no completion report; every task of it is asked about", "job", c.sub.ID, "manifest", ref.String())
			return nil, nil
		}
		if err := p.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func (c *completion) get(ctx context.Context, ref object.Ref, most int64) (data []byte, err error) {
	err = c.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: ref.Key}, func(ctx context.Context) error {
		got, err := c.store.Get(ctx, &object.GetRequest{Ref: ref, Max: most})
		data = got.Body
		return err
	})
	return data, err
}

// filesOf are the files that a manifest names.
func (c *completion) filesOf(ref object.Ref, data []byte) ([]reportFile, error) {
	var m struct{ Results []reportFile }
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, &brokenReport{ref.String() + ": " + err.Error()}
	}
	seen := map[string]bool{}
	for _, f := range m.Results {
		if f.Bucket != ref.Bucket || !strings.HasPrefix(f.Key, c.folder()) || seen[f.Key] {
			return nil, &brokenReport{fmt.Sprintf("%s names %s, which is no file of this report", ref, object.Ref{Bucket: f.Bucket, Key: f.Key})}
		}
		seen[f.Key] = true
	}
	return m.Results, nil
}

// indexTasks makes the tasks findable by their names.
func (c *completion) indexTasks() error {
	c.index = make([]indexed, len(c.seqs))
	for i, seq := range c.seqs {
		t, _, err := c.points.Row(seq)
		if err != nil {
			return err
		}
		c.index[i] = indexed{c.hash(t.Object.Key, t.Object.VersionID), uint32(i)}
	}
	slices.SortFunc(c.index, func(a, b indexed) int { return cmp.Compare(a.hash, b.hash) })
	return nil
}

func (c *completion) hash(key, version string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, key)
	if c.sub.Job.Versions {
		_, _ = io.WriteString(h, "\x00"+version)
	}
	return h.Sum64()
}

// find adds the places of the tasks of that name.
func (c *completion) find(found []uint32, key, version string) ([]uint32, error) {
	hash := c.hash(key, version)
	i, _ := slices.BinarySearchFunc(c.index, hash, func(e indexed, h uint64) int { return cmp.Compare(e.hash, h) })
	for ; i < len(c.index) && c.index[i].hash == hash; i++ {
		at := c.index[i].at
		t, _, err := c.points.Row(c.seqs[at])
		if err != nil {
			return nil, err
		}
		if o := &t.Object; o.Key == key && (!c.sub.Job.Versions || o.VersionID == version) && !slices.Contains(found, at) {
			found = append(found, at)
		}
	}
	return found, nil
}

// readFile reads one file of rows. What a first attempt has read of it is read again.
func (c *completion) readFile(ctx context.Context, f reportFile) error {
	ref := object.Ref{Bucket: f.Bucket, Key: f.Key}
	var bad *brokenReport
	err := c.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: f.Key, Bytes: 1 << 30}, func(ctx context.Context) error {
		body, err := c.store.Open(ctx, ref, object.CustomerKey{}, "")
		if err != nil {
			return err
		}
		defer body.Close()
		sum := md5.New()
		unknown, codes, err := c.rows(io.TeeReader(body, sum))
		var broken *csv.ParseError
		switch {
		case errors.As(err, &broken):
			bad = &brokenReport{ref.String() + " is no CSV: " + broken.Error()}
			return nil
		case err != nil:
			return err
		case len(f.MD5Checksum) == 2*md5.Size && !strings.EqualFold(f.MD5Checksum, hex.EncodeToString(sum.Sum(nil))):
			bad = &brokenReport{"the MD5 of " + ref.String() + " is not the one that the report's manifest names"}
			return nil
		}
		c.read.Unknown += unknown
		for code, n := range codes {
			if c.read.Codes[code] > 0 || len(c.read.Codes) < maxReportCodes {
				c.read.Codes[code] += n
			}
		}
		return nil
	})
	if err == nil && bad != nil {
		return bad
	}
	return err
}

// rows takes in the rows of a file.
func (c *completion) rows(from io.Reader) (unknown uint64, codes map[string]uint64, err error) {
	r := csv.NewReader(from)
	r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = -1, true, true
	codes = map[string]uint64{}
	for {
		row, err := r.Read()
		if err == io.EOF {
			return unknown, codes, nil
		}
		if err != nil {
			return 0, nil, err
		}
		known, err := c.row(row, codes)
		if err != nil {
			return 0, nil, err
		}
		if !known {
			unknown++
		}
	}
}

// row takes in one row:
//
//	Bucket, Key, VersionId, TaskStatus, HTTPStatusCode, ErrorCode, ResultMessage
//
// The report's own schema says that the last but two are the other way round, which they
// are not. Whether keys stand as they were in the manifest or as they are is not
// documented, so a row is about the task that either reading names; if they name two, it
// is about none for certain.
func (c *completion) row(row []string, codes map[string]uint64) (known bool, err error) {
	if len(row) < 4 || row[0] != c.sub.Job.Bucket {
		return false, nil
	}
	says := saysEither
	switch strings.ToLower(strings.TrimSpace(row[3])) {
	case "succeeded":
		says = saysSucceeded
	case "failed":
		says = saysFailed
	}
	var found []uint32
	keys := []string{row[1]}
	for _, decode := range []func(string) (string, error){url.PathUnescape, url.QueryUnescape} {
		if key, err := decode(row[1]); err == nil && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		if found, err = c.find(found, key, row[2]); err != nil {
			return false, err
		}
	}
	if len(found) > 1 {
		says = saysEither
	}
	for _, at := range found {
		if was := c.words[at]; was != saysNothing && was != says {
			says = saysEither
		}
		c.words[at] = says
	}
	if says == saysFailed {
		codes[object.Printable(codeOf(row))]++
	}
	return len(found) == 1, nil
}

// codeOf is the error of a failed row, whichever way its columns stand.
func codeOf(row []string) string {
	var status, code string
	for _, field := range row[4:min(6, len(row))] {
		if n, err := strconv.Atoi(field); err == nil && n >= 100 && n < 600 {
			status = field
		} else if field != "" {
			code = object.Cut(field, object.MaxCode)
		}
	}
	return strings.TrimSpace(status + " " + code)
}
