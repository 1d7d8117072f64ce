package cse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// The judges make the vectors: go test ./engine/cse -run TestJudgesRewrap -vectors
var makeVectors = flag.Bool("vectors", false, "write testdata/vectors.json")

const vectorFile = "testdata/vectors.json"

// vectors is one text as each judge wrote it, with the keys to open it. The raw
// keys were made for them and serve nothing else.
type vectors struct {
	Text    []byte
	AES     []byte
	RSA     string // PEM
	Objects []vector
}

type vector struct {
	Client, Envelope string
	Metadata         map[string]string
	Instruction      string `json:",omitempty"`
	Body             []byte
	// What KMS answered for this context, where KMS wraps.
	Context map[string]string `json:",omitempty"`
	DataKey []byte            `json:",omitempty"`
}

// answers is a KMS that knows one answer, and keeps it when it asked for it.
type answers struct {
	cse.KMS
	v *vector
}

func (a answers) Decrypt(ctx context.Context, r cse.DecryptRequest) (cse.DataKey, error) {
	if a.KMS != nil {
		d, err := a.KMS.Decrypt(ctx, r)
		a.v.Context, a.v.DataKey = r.Context, d.Bytes()
		return d, err
	}
	if !maps.Equal(r.Context, a.v.Context) {
		return cse.DataKey{}, cse.ErrInvalidCiphertext
	}
	return cse.NewDataKey(a.v.DataKey)
}

// vector takes down what a judge wrote.
func (c *court) vector(by client, key string) vector {
	c.t.Helper()
	e := c.envelope(key)
	v := vector{Client: by.name, Envelope: e.String(), Metadata: c.head(key), Instruction: string(c.body(key + cse.InstructionSuffix)), Body: c.body(key)}
	if e.Wrap.KMS() {
		if _, err := e.Unwrap(c.t.Context(), cse.Opener{KMS: answers{c.kms, &v}}); err != nil {
			c.t.Fatal(err)
		}
	}
	return v
}

func (v vectors) write(t *testing.T) {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestVectors: what each judge wrote once, read without one; and a changed bit
// anywhere in it under AES-GCM is noticed.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	aesKey, err := cse.ParseKey(all.AES)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := cse.ParseKey([]byte(all.RSA))
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Objects) < 15 {
		t.Errorf("there are %d vectors", len(all.Objects))
	}
	for _, v := range all.Objects {
		e, err := cse.Parse(v.Metadata)
		if v.Instruction != "" {
			e, err = cse.ParseFile(v.Metadata, []byte(v.Instruction))
		}
		if err != nil || e.String() != v.Envelope {
			t.Errorf("%s: %s, want %s: %v", v.Client, e, v.Envelope, err)
			continue
		}
		o := cse.Opener{KMS: answers{nil, &v}, Key: aesKey}
		if e.Wrap == cse.RSAOAEP || e.Wrap == cse.RSAPKCS1 {
			o.Key = rsaKey
		}
		d, err := e.Unwrap(t.Context(), o)
		if err != nil {
			t.Errorf("%s, %s: %v", v.Client, e, err)
			continue
		}
		read := func() ([]byte, error) {
			r, err := e.NewReader(d, bytes.NewReader(v.Body), int64(len(v.Body)))
			if err != nil {
				return nil, err
			}
			return io.ReadAll(r)
		}
		if text, err := read(); err != nil || !bytes.Equal(text, all.Text) {
			t.Errorf("%s, %s: %d bytes, %v", v.Client, e, len(text), err)
		}
		for i := range v.Body {
			v.Body[i] ^= 1 << (i % 8)
			if text, err := read(); e.Content != cse.CBC && (err == nil || len(text) > 0) {
				t.Errorf("%s, %s: byte %d was changed, and %d bytes were read", v.Client, e, i, len(text))
			}
			v.Body[i] ^= 1 << (i % 8)
		}
	}
}

// TestWordsOfTheReport: what the report says of metadata at a glance is what this
// package reads in it.
func TestWordsOfTheReport(t *testing.T) {
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	if err := json.Unmarshal(b, &all); err != nil || len(all.Objects) == 0 {
		t.Fatal(len(all.Objects), err)
	}
	for _, v := range all.Objects {
		e, err := cse.Parse(v.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		got := object.ClientSideOf(v.Metadata)
		if strings.TrimSuffix(string(got), " AES-CBC") != e.String() || e.Format != cse.None && got.Content() != e.Content.String() {
			t.Errorf("%s: the report says %q with %q, the envelope is %q with %q", v.Client, got, got.Content(), e, e.Content)
		}
	}
}
