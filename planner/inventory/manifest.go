package inventory

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// Format of the files of a report.
type Format string

// The formats that S3 writes.
const (
	CSV     Format = "CSV"
	Parquet Format = "Parquet"
	ORC     Format = "ORC"
)

// maxManifest bounds a manifest: 100,000 files of it are 30 MB.
const maxManifest = 256 << 20

// manifest is manifest.json.
type manifest struct {
	SourceBucket      string          `json:"sourceBucket"`
	DestinationBucket string          `json:"destinationBucket"`
	Version           string          `json:"version"`
	CreationTimestamp json.RawMessage `json:"creationTimestamp"`
	FileFormat        Format          `json:"fileFormat"`
	FileSchema        string          `json:"fileSchema"`
	Files             []struct {
		Key  string `json:"key"`
		Size int64  `json:"size"`
		MD5  string `json:"MD5checksum"`
	} `json:"files"`
}

// maxText bounds what else a row tells. A key of 1,024 bytes has 3,072 where it is encoded.
const maxText = 8 << 10

func bounded(col column, n int) error {
	if n > maxText && col != colIgnored {
		return fmt.Errorf("a value of %d bytes, where nothing of S3 has more than %d", n, maxText)
	}
	return nil
}

// file is one file of a report.
type file struct {
	key  string
	size int64
	md5  string   // hex; empty where only the size is known
	uris []string // where it may lie, where its key does not tell: see Source.placesOf
	// deleted are the rows of a table's file that count as not there.
	deleted *deletions
}

const wantManifest = "give the manifest.json of an S3 Inventory report, or the folder of an inventory configuration"

// parseManifest reads manifest.json and refuses what cannot be one.
func parseManifest(uri string, data []byte) (*Source, error) {
	bad := func(what string, err error) error {
		return &planner.UnusableError{Where: uri, What: what, Fix: wantManifest, Err: err}
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, bad("this is no inventory manifest", err)
	}
	switch {
	case m.SourceBucket == "":
		return nil, bad("this is no inventory manifest: it names no sourceBucket", nil)
	case !object.MayBeBucket(m.SourceBucket):
		return nil, bad(fmt.Sprintf("no bucket can have the name %q, its sourceBucket", object.Cut(m.SourceBucket, 300)), nil)
	case m.Files == nil:
		return nil, bad("this is no inventory manifest: it has no list of files", nil)
	case m.FileFormat != CSV && m.FileFormat != Parquet && m.FileFormat != ORC:
		return nil, bad(fmt.Sprintf("the fileFormat %q is not known", object.Cut(string(m.FileFormat), 100)), nil)
	}
	s := &Source{uri: uri, bucket: m.SourceBucket, format: m.FileFormat, created: timestamp(m.CreationTimestamp)}
	sum := md5.Sum(data)
	s.digest = hex.EncodeToString(sum[:])
	if m.FileFormat == CSV {
		names := strings.Split(m.FileSchema, ",")
		var err error
		if s.schema, err = newSchema(names); err != nil {
			return nil, &planner.UnusableError{Where: uri, What: "its fileSchema", Err: err, Fix: schemaFix}
		}
	}
	dest := strings.TrimPrefix(m.DestinationBucket, "arn:aws:s3:::")
	if i := strings.LastIndexByte(dest, ':'); i >= 0 { // another partition's ARN
		dest = dest[i+1:]
	}
	s.dest = dest
	seen := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		sum, err := hex.DecodeString(f.MD5)
		switch {
		case f.Key == "":
			return nil, bad("one of its files has no key", nil)
		case len(f.Key) > object.MaxKey:
			return nil, bad(fmt.Sprintf("the key of a file of it has %d bytes, and S3 takes %d: %q", len(f.Key), object.MaxKey, object.Cut(f.Key, 100)), nil)
		case seen[f.Key]:
			return nil, bad(fmt.Sprintf("it names the file %q twice", f.Key), nil)
		case err != nil || len(sum) != md5.Size:
			return nil, bad(fmt.Sprintf("the MD5checksum of %q is %q, which is no MD5", f.Key, object.Cut(f.MD5, 100)), nil)
		}
		seen[f.Key] = true
		s.files = append(s.files, file{key: f.Key, size: f.Size, md5: strings.ToLower(f.MD5)})
	}
	return s, nil
}

// timestamp reads the milliseconds that stand as a string; the zero time if they
// do not: nothing depends on it.
func timestamp(raw json.RawMessage) time.Time {
	ms, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Open reads a manifest. uri names a manifest.json, or, ending in a slash, the
// folder of an inventory configuration or of one report: then the newest report
// that is complete is taken, one whose manifest.checksum is there and right.
// What cannot be used is a *planner.UnusableError.
func Open(ctx context.Context, st Storage, uri string, opt Options) (*Source, error) {
	if strings.HasSuffix(uri, "/") {
		return openNewest(ctx, st, uri, opt)
	}
	data, err := readSmall(ctx, st, uri)
	if err != nil {
		return nil, notThere(uri, err)
	}
	return FromManifest(ctx, st, uri, data, opt)
}

// FromManifest is Open for a manifest that was read already. Where a
// manifest.checksum lies beside it, that has to be right.
func FromManifest(ctx context.Context, st Storage, uri string, data []byte, opt Options) (*Source, error) {
	if _, err := complete(ctx, st, uri, data); err != nil {
		return nil, err
	}
	s, err := parseManifest(uri, data)
	if err != nil {
		return nil, err
	}
	s.storage, s.opt = st, opt
	return s, nil
}

// notThere makes a missing file a fault of the command line.
func notThere(uri string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &planner.UnusableError{Where: uri, What: "there is no such file", Fix: wantManifest}
	}
	return fmt.Errorf("reading %s: %w", uri, err)
}

func readSmall(ctx context.Context, st Storage, uri string) ([]byte, error) {
	r, _, err := st.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err == nil && len(data) > maxManifest {
		err = fmt.Errorf("it has more than %d bytes", maxManifest)
	}
	return data, err
}

// complete compares a manifest with the manifest.checksum beside it, which S3
// writes last. found is false where there is none.
func complete(ctx context.Context, st Storage, uri string, data []byte) (found bool, err error) {
	sum, err := readSmall(ctx, st, folder(uri)+"manifest.checksum")
	if errors.Is(err, fs.ErrNotExist) || object.ClassOf(err) == object.ClassDenied {
		// S3 denies what is not there to whoever may not list.
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the manifest.checksum of %s: %w", uri, err)
	}
	want := string(bytes.ToLower(bytes.TrimSpace(sum)))
	if got := md5.Sum(data); hex.EncodeToString(got[:]) != want {
		return true, &planner.UnusableError{Where: uri, What: "its MD5 is " + hex.EncodeToString(got[:]) + " and manifest.checksum says " + strconv.Quote(want),
			Fix: "fetch both again, or take another report"}
	}
	return true, nil
}

// openNewest finds the newest complete report of a folder: of one report, or of a
// configuration (…/config/).
func openNewest(ctx context.Context, st Storage, uri string, opt Options) (*Source, error) {
	if data, err := readSmall(ctx, st, uri+"manifest.json"); err == nil {
		return FromManifest(ctx, st, uri+"manifest.json", data, opt)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading %smanifest.json: %w", uri, err)
	}
	names, err := st.Folders(ctx, uri)
	if err != nil {
		return nil, notThere(uri, err)
	}
	var reports []string
	for _, n := range names {
		if _, err := time.Parse(reportFolder, n); err == nil {
			reports = append(reports, n)
		}
	}
	slices.Sort(reports)
	var unfit []string
	for _, n := range slices.Backward(reports) {
		at := uri + n + "/manifest.json"
		data, err := readSmall(ctx, st, at)
		if errors.Is(err, fs.ErrNotExist) {
			unfit = append(unfit, n+" has no manifest.json yet")
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", at, err)
		}
		switch found, err := complete(ctx, st, at, data); {
		case err != nil && errors.As(err, new(*planner.UnusableError)):
			unfit = append(unfit, n+" does not match its manifest.checksum")
			continue
		case err != nil:
			return nil, err
		case !found:
			unfit = append(unfit, n+" has no manifest.checksum yet")
			continue
		}
		return FromManifest(ctx, st, at, data, opt)
	}
	what := "no report lies in this folder"
	if len(unfit) > 0 {
		what = "no report in this folder is complete: " + strings.Join(unfit, ", ")
	}
	return nil, &planner.UnusableError{Where: uri, What: what,
		Fix: "give the folder of one inventory configuration, s3://BUCKET/PREFIX/SOURCE/CONFIG/, which holds folders such as 2026-11-23T01-00Z"}
}

// reportFolder is how S3 names the folder of a report.
const reportFolder = "2006-01-02T15-04Z"
