package evidence

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// oddKeys would break a report that is not careful.
var oddKeys = []string{"a,b", `quo"ted`, "two\r\nlines", "one\nline", " spaces ", "ümlaut", "\r", `"`, "plain", "bytes\xff"}

func rowsOf(n int) report.Rows {
	return func(row func(*object.Task, *object.Outcome) error) error {
		for i := range n {
			key := fmt.Sprintf("%s/%d", oddKeys[i%len(oddKeys)], i)
			t := &object.Task{Seq: uint64(i), Object: object.Object{Ref: object.Ref{Bucket: "b", Key: key}, Size: int64(i)}}
			o := &object.Outcome{Seq: t.Seq, State: object.Done, Operation: object.OpCopy, After: object.Encryption{Type: object.SSES3}}
			if i%7 == 0 {
				o = nil
			}
			if err := row(t, o); err != nil {
				return err
			}
		}
		return nil
	}
}

func content(n int) *Content {
	return &Content{Job: "job", Version: "v1", Rows: rowsOf(n), Now: time.Date(2026, 11, 28, 1, 2, 3, 4, time.UTC),
		Documents: map[string]any{"summary": map[string]int{"planned": n}, "policy": map[string]string{"sse": "AES256"},
			"identity": map[string]string{"caller": "arn:aws:iam::111122223333:user/a"}, "verification": map[string]bool{"made": true}}}
}

func localSigner(t testing.TB) *Local {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ParseLocal(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// digestSigner signs as KMS does: the SHA-256 of the message.
type digestSigner struct{ crypto.Signer }

func (s digestSigner) Sign(_ context.Context, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	return s.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
}

func write(t testing.TB, n int, s Signer) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "evidence")
	if err := Write(t.Context(), dir, content(n), s); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheckEverySigner(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Signer{localSigner(t), digestSigner{ec}, digestSigner{rs}} {
		dir := write(t, 100, s)
		c, err := Check(dir, s.Public())
		if err != nil {
			t.Fatalf("%T: %v", s, err)
		}
		if c.Own || c.Predicate.Rows != 100 || len(c.Subject) != 6 {
			t.Errorf("%T: %+v", s, c)
		}
		if c, err = Check(dir, nil); err != nil || !c.Own {
			t.Errorf("%T, its own key: %+v, %v", s, c, err)
		}
		if _, err := Check(dir, localSigner(t).Public()); err == nil {
			t.Errorf("%T: another key is content with it", s)
		}
	}
}

// TestOneFlippedBit: every bit of every file counts.
func TestOneFlippedBit(t *testing.T) {
	s := localSigner(t)
	dir := write(t, 5, s)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	flips := 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		step := 1
		if len(data) > 3000 {
			step = 11 // every bit is under the same digest
		}
		for i := 0; i < len(data); i += step {
			data[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			var bad *BadError
			if _, err := Check(dir, s.Public()); !errors.As(err, &bad) {
				t.Errorf("%s, bit %d of byte %d: %v", e.Name(), i%8, i, err)
			}
			data[i] ^= 1 << (i % 8)
			flips++
		}
		if err := os.WriteFile(path, data[:len(data)-1], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Check(dir, s.Public()); err == nil {
			t.Errorf("%s: a byte less is not found", e.Name())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Check(dir, s.Public()); err == nil {
			t.Errorf("%s: its absence is not found", e.Name())
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d flips", flips)
	if err := os.WriteFile(filepath.Join(dir, "more.csv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(dir, s.Public()); err == nil {
		t.Error("a file that nobody signed is not found")
	}
}

func TestProofs(t *testing.T) {
	s := localSigner(t)
	for _, n := range []int{1, 2, 3, 7, 8, 9, 100} {
		dir := write(t, n, s)
		sealed, err := os.ReadFile(filepath.Join(dir, envelopeName))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			key := fmt.Sprintf("%s/%d", oddKeys[i%len(oddKeys)], i)
			proofs, err := Prove(dir, "b", key)
			if err != nil || len(proofs) != 1 {
				t.Fatalf("%d rows, %q: %d proofs, %v", n, key, len(proofs), err)
			}
			if proofs[0].Index != uint64(i) {
				t.Errorf("%q is row %d, not %d", key, i, proofs[0].Index)
			}
			data, err := json.Marshal(proofs[0])
			if err != nil {
				t.Fatal(err)
			}
			row, err := CheckProof(data, sealed, s.Public())
			if err != nil || row["key"] != key || row["bucket"] != "b" {
				t.Fatalf("%d rows, %q: %v, %v", n, key, row, err)
			}
			for _, lie := range []func(p *Proof){
				func(p *Proof) { p.Index ^= 1 },
				func(p *Proof) { p.Row = append([]byte("x"), p.Row...) },
				func(p *Proof) { p.Path = append(p.Path, "") },
				func(p *Proof) {
					if len(p.Path) > 0 {
						p.Path = p.Path[1:]
					} else {
						p.Index = 5
					}
				},
			} {
				p := proofs[0]
				p.Path = append([]string(nil), p.Path...)
				lie(&p)
				data, _ := json.Marshal(p)
				if _, err := CheckProof(data, sealed, s.Public()); err == nil {
					t.Errorf("%d rows, %q: a lie is believed: %+v", n, key, p)
				}
			}
		}
	}
}

// TestTree compares with the definition of RFC 6962.
func TestTree(t *testing.T) {
	var define func(leaves []hash) hash
	define = func(leaves []hash) hash {
		switch n := uint64(len(leaves)); n {
		case 0:
			return sha256.Sum256(nil)
		case 1:
			return leaves[0]
		default:
			k := largestPower(n)
			return nodeHash(define(leaves[:k]), define(leaves[k:]))
		}
	}
	var leaves []hash
	var tr tree
	for i := range 70 {
		if tr.root() != define(leaves) {
			t.Fatalf("the root of %d leaves is another one", i)
		}
		row := []byte(fmt.Sprint("row", i))
		leaves = append(leaves, leafHash(row))
		tr.add(row)
	}
}

// TestOpenSSL checks a signature with openssl alone, as the documentation says.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is missing: apt-get install openssl")
		}
		t.Skip("openssl is missing: apt-get install openssl") // make test says so too
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		s    Signer
		args []string
	}{
		{localSigner(t), []string{"pkeyutl", "-verify", "-pubin", "-inkey", publicName, "-rawin", "-in", signedName, "-sigfile", signatureName}},
		{digestSigner{ec}, []string{"dgst", "-sha256", "-verify", publicName, "-signature", signatureName, signedName}},
	} {
		dir := write(t, 5, tc.s)
		verify := func() error {
			cmd := exec.Command(openssl, tc.args...)
			cmd.Dir = dir
			return cmd.Run()
		}
		if err := verify(); err != nil {
			t.Errorf("%T: openssl %v: %v", tc.s, tc.args, err)
		}
		path := filepath.Join(dir, signedName)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if verify() == nil {
			t.Errorf("%T: openssl is content with other bytes", tc.s)
		}
	}
}

func TestParquetHasTheSameRows(t *testing.T) {
	dir := write(t, 30, localSigner(t))
	got, err := parquet.ReadFile[report.Row](filepath.Join(dir, parquetName))
	if err != nil || len(got) != 30 {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	i := 0
	err = eachRow(dir, func(_ []byte, fields []string) error {
		for j, f := range got[i].Fields(nil) {
			if f != fields[j] {
				t.Errorf("row %d, %s: %q and %q", i, report.Columns()[j], f, fields[j])
			}
		}
		i++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(t.Context(), dir, content(1), localSigner(t)); err == nil {
		t.Error("a folder with something in it was taken")
	}
	if _, err := ParseLocal([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")); err == nil {
		t.Error("a key that is none was read")
	}
}

// fullRows are rows with all that a rotation on AWS tells of an object.
func fullRows(n int) report.Rows {
	const arn = "arn:aws:kms:eu-central-1:111122223333:key/0a0a0a0a-0000-4000-8000-00000000000"
	return func(row func(*object.Task, *object.Outcome) error) error {
		return rowsOf(n)(func(t *object.Task, _ *object.Outcome) error {
			t.Object.VersionID = "3HL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY"
			return row(t, &object.Outcome{Seq: t.Seq, State: object.Done, Operation: object.OpCopy, Size: t.Object.Size, Attempts: 1, RequestID: "17D6B4A1C2E3F405",
				ETagBefore: "9b2cf535f27731c974343645a3985328", ETagAfter: "5d2cf535f27731c974343645a3985399", NewVersionID: "RmSpXd3dIbrHY3HL4kqtJlcpXroDTDmJ",
				Before: object.Encryption{Type: object.SSEKMS, KMSKeyID: arn + "1"}, After: object.Encryption{Type: object.SSEKMS, KMSKeyID: arn + "2"},
				FinishedAt: time.Date(2026, 11, 28, 1, 2, 3, 456789, time.UTC)})
		})
	}
}

// TestProofOfAMillion builds the evidence of a million rows and proves one of them: in less
// than two kilobytes, of which no bit can be another one.
func TestProofOfAMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("writes a million rows")
	}
	const rows, most = 1_000_000, 2000
	s := localSigner(t)
	c := content(rows)
	c.Rows = fullRows(rows)
	dir := filepath.Join(t.TempDir(), "evidence")
	if err := Write(t.Context(), dir, c, s); err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(filepath.Join(dir, envelopeName))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a,b/0", "plain/777778", "bytes\xff/999999"} {
		proofs, err := Prove(dir, "b", key)
		if err != nil || len(proofs) != 1 {
			t.Fatal(key, len(proofs), err)
		}
		data, err := json.Marshal(&proofs[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%q: %d bytes", key, len(data))
		if row, err := CheckProof(data, sealed, s.Public()); err != nil || row["key"] != key || len(data) >= most {
			t.Errorf("%q: %v, %v, %d bytes", key, row, err, len(data))
		}
		for i := range data {
			data[i] ^= 1 << (i % 8)
			if _, err := CheckProof(data, sealed, s.Public()); err == nil {
				t.Errorf("%q: bit %d of byte %d is another one, and the proof is believed", key, i%8, i)
			}
			data[i] ^= 1 << (i % 8)
		}
	}
}
