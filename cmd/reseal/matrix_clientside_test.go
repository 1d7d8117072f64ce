package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// The matrix of what goes through this process: into version 3, and out of it.
var throughMutations = []struct {
	name, commit string
	args         []string
	brief        bool
}{
	{"put", "Put", nil, false},
	{"in-parts", "Complete", []string{"--multipart-threshold", "1", "--part-size", "5MiB"}, false},
	{"part", "Part", []string{"--multipart-threshold", "1", "--part-size", "5MiB"}, true},
	{"create", "CreateUpload", []string{"--multipart-threshold", "1", "--part-size", "5MiB"}, true},
}

// sealedCell is a cell whose objects are under version 2 and a raw key, and go under
// version 3 and another one, or out.
type sealedCell struct {
	*matrixCell
	old, key cse.Key
	texts    map[string][]byte
	out      bool
}

func newSealedCell(t *testing.T, binary string, out bool, args []string, dies bool) *sealedCell {
	s := s3test.New(s3test.Config{Seed: 1})
	t.Cleanup(s.Close)
	sse := s.KMS.CreateKey()
	dir := t.TempDir()
	c := &sealedCell{texts: map[string][]byte{}, out: out,
		matrixCell: &matrixCell{T: t, server: s, binary: binary, job: filepath.Join(dir, "job"), dying: matrixWorkers}}
	file := func(name string, fill byte) (string, cse.Key) {
		path, data := filepath.Join(dir, name), bytes.Repeat([]byte{fill}, 32)
		key, err := cse.ParseKey(data)
		if err != nil || os.WriteFile(path, data, 0o600) != nil {
			t.Fatal(err)
		}
		return path, key
	}
	oldFile, old := file("old", 0xa1)
	newFile, key := file("new", 0xb2)
	c.old, c.key = old, key
	s.CreateBucket(matrixBucket, s3test.BucketConfig{Versioning: "Enabled"})
	for i := range matrixObjects {
		o := matrixObject(i, sse)
		o.Body = sentBody(i, slices.Contains(args, "--part-size"), dies)
		c.texts[o.Key] = o.Body.ReadAll()
		o.Body, o.Metadata = c.seal(c.texts[o.Key], o.Metadata)
		if i%3 > 0 {
			algorithm := []string{"", "CRC32C", "SHA256"}[i%3]
			o.Checksum = s3test.Checksum{Algorithm: algorithm, Type: "FULL_OBJECT", Value: object.Checksum(algorithm, o.Body.ReadAll())}
		}
		s.Put(matrixBucket, o)
	}
	c.args = []string{"run", "s3://" + matrixBucket, "--source-cse-key-file", oldFile, "--job", c.job,
		"--json", "--no-progress", "--concurrency", fmt.Sprint(matrixWorkers)}
	if out {
		c.args = append(c.args, "--client-side", "none")
	} else {
		c.args = append(c.args, "--client-side", "v3", "--cse-key-file", newFile)
	}
	c.args = append(c.args, args...)
	c.before = s.Snapshot(matrixBucket)
	return c
}

func (c *sealedCell) seal(text []byte, user map[string]string) (*s3test.Content, map[string]string) {
	u, err := cse.NewUpload(c.Context(), nil, cse.V2, cse.Target{Wrap: cse.AESGCM, Key: c.old, Entries: map[string]string{"who": "me"}})
	if err != nil {
		c.Fatal(err)
	}
	body := make([]byte, len(text), len(text)+16)
	if err := u.Part(body, text, 0); err != nil {
		c.Fatal(err)
	}
	tag, err := u.Finish(cse.Unencrypted(int64(len(text))))
	if err != nil {
		c.Fatal(err)
	}
	m, err := u.Metadata(user)
	if err != nil {
		c.Fatal(err)
	}
	return s3test.Bytes(append(body, tag...)), m
}

// open reads a version, as it was or as it is to be, and gives its data key.
func (c *sealedCell) open(o s3test.Object) (text []byte, key cse.DataKey, e cse.Envelope) {
	c.Helper()
	e, err := cse.Parse(o.Metadata)
	if err != nil {
		c.Fatalf("%q: %v", o.Key, err)
	}
	body := o.Body.ReadAll()
	if e.Format == cse.None {
		return body, key, e
	}
	with := c.key
	if e.Format == cse.V2 {
		with = c.old
	}
	if key, err = e.Unwrap(c.Context(), cse.Opener{Key: with}); err != nil {
		c.Fatalf("%q: %v", o.Key, err)
	}
	r, err := e.NewReader(key, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		c.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		c.Errorf("%q cannot be read: %v", o.Key, err)
	}
	return b.Bytes(), key, e
}

// checkThrough wants every version that there ever was to be readable by its key, the
// last one as wanted with everything that the object had, no two under one data key,
// and no data key in any file.
func (c *sealedCell) checkThrough(died bool) {
	now := c.server.Snapshot(matrixBucket)
	c.uploadsAreNamed(now.Uploads)
	rows, extra := c.report(), 0
	keys := map[string]string{}
	for _, was := range c.before.Objects {
		versions := now.Find(was.Key)
		for i, v := range versions {
			text, key, e := c.open(v)
			if !bytes.Equal(text, c.texts[was.Key]) {
				c.Errorf("version %d of %q has another text", i, was.Key)
			}
			wanted := e.Format == cse.V3 || c.out && e.Format == cse.None
			if i == 0 && !wanted || i == len(versions)-1 && e.Format != cse.V2 {
				c.Errorf("version %d of %q is %s", i, was.Key, e)
			}
			if other, used := keys[string(key.Bytes())]; used && e.Format != cse.None {
				c.Errorf("%q and %q have one data key", other, was.Key)
			}
			if e.Format != cse.None {
				keys[string(key.Bytes())] = was.Key
			}
		}
		is := versions[0]
		extra += len(versions) - 2
		row := rows[was.Key]
		if row["state"] != "done" && row["state"] != "already" || row["etag_after"] != is.ETag || row["client_side_after"] == "" {
			c.Errorf("the row of %q is %v, the object's ETag %s", was.Key, row, is.ETag)
		}
		for _, o := range []*s3test.Object{&was, &is} {
			o.Metadata = cse.Without(o.Metadata)
		}
		of := func(o s3test.Object) string {
			algorithm := o.Checksum.Algorithm
			if was.Checksum.Algorithm == "" {
				algorithm = "" // the store makes one of its own
			}
			return fmt.Sprint(o.ContentType, o.CacheControl, o.Expires, o.StorageClass, o.Tags, o.Metadata, o.Encryption, algorithm)
		}
		if of(was) != of(is) {
			c.Errorf("%q was %s and is %s", was.Key, of(was), of(is))
		}
	}
	if extra > 0 && !died {
		c.Errorf("%d objects were written twice by a process that lived", extra)
	}
	c.noKeyInFiles(keys)
}

// noKeyInFiles looks through the job for data keys, raw, in hex and in base64.
func (c *sealedCell) noKeyInFiles(keys map[string]string) {
	err := filepath.WalkDir(c.job, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for key := range keys {
			b := []byte(key)
			for _, form := range [][]byte{b, []byte(hex.EncodeToString(b)), []byte(base64.StdEncoding.EncodeToString(b)), []byte(base64.RawURLEncoding.EncodeToString(b))} {
				if bytes.Contains(data, form) {
					c.Errorf("%s holds a data key", path)
				}
			}
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
}

// TestFaultMatrixThroughClient: whatever a request meets and whenever the process dies,
// each object can be read at every instant by its old or its new key, is done once, and
// nothing is left behind.
func TestFaultMatrixThroughClient(t *testing.T) {
	t.Parallel()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	atOnce := newPool(t, 6)
	for _, m := range throughMutations {
		for _, fault := range []string{"", "Failed", "ReplyLost", "(Applied Stalled)"} {
			for _, death := range matrixDeaths {
				if m.brief && fault != "" && fault != "ReplyLost" {
					continue
				}
				for _, out := range []bool{false, true} {
					if out && (death == "later" || death == "interrupted" || m.brief || fault == "Failed") {
						continue
					}
					atOnce.run(fmt.Sprintf("%s/%s/%s/out=%v", m.name, cell(fault), cell(death), out), func(t *testing.T) {
						c := newSealedCell(t, binary, out, m.args, death != "")
						c.fault(m.commit, fault)
						if death != "" {
							c.dieAt(m.commit, death)
						}
						c.finish()
						c.checkThrough(death != "")
					})
				}
			}
		}
	}
	atOnce.wait()
}
