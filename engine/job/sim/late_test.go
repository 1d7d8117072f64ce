package sim

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestWhatOthersSetWhileARequestWaits: a request that replaces an object carries what that had
// when it was looked at. Tags and holds change no ETag, and one that waits for a store which
// throttles for ten minutes, or is sent once more after a lost answer, would take away what
// others set meanwhile.
func TestWhatOthersSetWhileARequestWaits(t *testing.T) {
	const small, large = 10, 6 << 20
	copies, inParts := job.Policy{Operation: job.CopyOnly}, job.Policy{Operation: job.CopyOnly, MultipartThreshold: 1 << 20}
	rewrap := job.Policy{Operation: job.RewrapOnly}
	key := "k00"
	for name, c := range map[string]struct {
		profile s3test.Profile
		waits   string
		policy  job.Policy
		size    int
		client  func(*testing.T, *bed) // makes it a job of client-side encryption
		lost    bool                   // its answer is, before it is applied
		then    bool                   // it waits after that
		key     string
	}{
		"a rewrite":                 {profile: s3test.MinIO(), waits: "PutObject", size: small},
		"a rewrite, lost":           {profile: s3test.MinIO(), waits: "PutObject", size: small, lost: true},
		"a copy":                    {waits: "CopyObject", policy: copies, size: small},
		"a copy, lost":              {waits: "CopyObject", policy: copies, size: small, lost: true},
		"an upload's begin":         {waits: "CreateMultipartUpload", policy: inParts, size: large},
		"an upload's complete":      {waits: "CompleteMultipartUpload", policy: inParts, size: large},
		"an upload's, lost":         {waits: "CompleteMultipartUpload", policy: inParts, size: large, lost: true},
		"an upload's, lost, waits":  {waits: "CompleteMultipartUpload", policy: inParts, size: large, lost: true, then: true},
		"a copy, lost, waits":       {waits: "CopyObject", policy: copies, size: small, lost: true, then: true},
		"a re-upload":               {waits: "PutObject", size: small, client: toV3},
		"a re-upload, lost":         {waits: "PutObject", size: small, client: toV3, lost: true},
		"a re-upload's begin":       {waits: "CreateMultipartUpload", size: 4 * large, client: toV3},
		"a re-upload's complete":    {waits: "CompleteMultipartUpload", size: 4 * large, client: toV3},
		"a rewrap":                  {waits: "CopyObject", policy: rewrap, client: toNewKey},
		"a rewrap, lost":            {waits: "CopyObject", policy: rewrap, client: toNewKey, lost: true},
		"an instruction file":       {waits: "PutObject", policy: rewrap, client: toNewKeyInFile, key: "k00.instruction"},
		"an instruction file, lost": {waits: "PutObject", policy: rewrap, client: toNewKeyInFile, key: "k00.instruction", lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			key := key
			if c.key != "" {
				key = c.key
			}
			onBed(t, c.profile, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 1, time.Second, func(t *testing.T, b *bed) {
				b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", c.size))})
				if c.client != nil {
					c.client(t, b)
				}
				tag := func(value string) []object.Tag { return []object.Tag{{Key: "a", Value: value}} }
				b.server.Modify(bucketName, key, "", func(a *s3test.Attrs) { a.Tags = tag("old") })
				before, _ := b.server.Get(bucketName, key, "")
				rules := func(text string) {
					if err := b.server.SetRules(text); err != nil {
						t.Error(err)
					}
				}
				const throttles = `(Error 503 SlowDown "later")`
				fault, sets, ends := throttles, 10*time.Minute, 13*time.Minute
				if c.lost {
					fault, sets, ends = "(Unapplied ReplyLost)", 0, time.Second/2
				}
				waited := false
				b.server.OnRequest(func(r s3test.Request) {
					if r.Op != c.waits || r.Key != key || waited {
						return
					}
					waited = true
					matches := `(If (And ` + c.waits + ` (Key "` + key + `")) `
					rules(matches + fault + `)`)
					if c.then {
						sets, ends = 10*time.Minute, 13*time.Minute
						time.AfterFunc(time.Second/2, func() { rules(matches + throttles + `)`) })
					}
					time.AfterFunc(sets, func() {
						b.server.Modify(bucketName, key, "", func(a *s3test.Attrs) { a.Tags, a.LegalHold = tag("new"), true })
					})
					time.AfterFunc(ends, func() { rules("") })
				})
				b.policy = c.policy
				err := b.run(job.Limits{})
				o, _ := b.server.Get(bucketName, key, "")
				if err != nil || !waited || o.VersionID == before.VersionID || !o.LegalHold || len(o.Tags) != 1 || o.Tags[0].Value != "new" {
					t.Errorf("%v; waited %t, it has %v, held %t, under %v %v", err, waited, o.Tags, o.LegalHold, o.Encryption, o.Metadata)
				}
			})
		})
	}
}

// TestAReadingThatTakesLong: what was looked at too long ago is looked at again, and not read
// again, which would take as long.
func TestAReadingThatTakesLong(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{}, 1, time.Second, func(t *testing.T, b *bed) {
		b.policy.Verify = job.VerifyRead
		if err := b.server.SetRules(`(If (And GetObject (Key "k00")) (Delay 80000))`); err != nil {
			t.Fatal(err)
		}
		reads := 0
		b.server.OnRequest(func(r s3test.Request) {
			if r.Op == "GetObject" && r.Key == "k00" {
				reads++
			}
		})
		if err := b.run(job.Limits{RequestTimeout: 5 * time.Minute}); err != nil || reads != 2 {
			t.Errorf("%v; it was read %d times, and not before and after", err, reads)
		}
	})
}

// toV3 has the job encrypt objects as a client.
func toV3(t *testing.T, b *bed) {
	file, _ := rawKey(t, b, 1)
	b.spec.Target = job.Target{ClientSide: job.ClientSide{Format: "v3", KeyFile: file}}
}

// toNewKey has the job rewrap an object that a client encrypted.
func toNewKey(t *testing.T, b *bed) {
	body, metadata := encrypted(t, b)
	b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(body), Attrs: s3test.Attrs{Metadata: metadata}})
}

// toNewKeyInFile does, where the envelope is in a file beside it.
func toNewKeyInFile(t *testing.T, b *bed) {
	body, metadata := encrypted(t, b)
	inObject := map[string]string{}
	for _, name := range []string{"x-amz-c", "x-amz-d", "x-amz-i"} {
		inObject[name] = metadata[name]
		delete(metadata, name)
	}
	file, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(body), Attrs: s3test.Attrs{Metadata: inObject}})
	b.server.Put(bucketName, s3test.Object{Key: "k00" + cse.InstructionSuffix, Body: s3test.Bytes(file), Attrs: s3test.Attrs{Metadata: map[string]string{"x-amz-crypto-instr-file": ""}}})
}

// encrypted is an object under a raw key, which the job brings under another.
func encrypted(t *testing.T, b *bed) ([]byte, map[string]string) {
	old, key := rawKey(t, b, 1)
	file, _ := rawKey(t, b, 2)
	b.spec.Target = job.Target{ClientSide: job.ClientSide{KeyFile: file, SourceKeyFile: old}}
	u, err := cse.NewUpload(t.Context(), nil, cse.V3, cse.Target{Wrap: cse.AESGCM, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("text")
	if err := u.Part(body, body, 0); err != nil {
		t.Fatal(err)
	}
	tag, err := u.Finish(cse.Unencrypted(int64(len(body))))
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := u.Metadata(nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(body, tag...), metadata
}

// rawKey is a key, and a file of it.
func rawKey(t *testing.T, b *bed, of byte) (string, cse.Key) {
	raw := bytes.Repeat([]byte{of, 7}, 16)
	file := filepath.Join(filepath.Dir(b.dir), string('a'+rune(of)))
	key, err := cse.ParseKey(raw)
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file, key
}
