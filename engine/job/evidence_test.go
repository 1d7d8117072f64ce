package job

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/csv"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/evidence"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestFiguresOfShardsAtWork: what is told in numbers adds up with the rows, also where shards
// were worked on since the job was opened.
func TestFiguresOfShardsAtWork(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 60)
	j := divided(t, b, 3)
	if _, err := j.Plan(t.Context(), PlanOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := j.openRecords()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := j.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	done := uint64(0)
	err = r.Rows(func(_ *object.Task, o *object.Outcome) error {
		if o != nil && o.State == object.Done {
			done++
		}
		return nil
	})
	if totals := r.Totals(); err != nil || done != 60 || totals.States[object.Done].Objects != done {
		t.Errorf("%d rows are done, and the totals say %d; %v", done, totals.States[object.Done].Objects, err)
	}
}

// TestEvidenceTellsEveryPolicy: objects were done under each of them.
func TestEvidenceTellsEveryPolicy(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 4)
	j := b.create(t, Policy{Accept: []Acceptance{"acl"}})
	if _, err := j.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	again.Policy.Accept = nil
	if err := again.keepPolicy(again.Begun); err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	officer, err := evidence.ParseLocal(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "evidence")
	if err := again.Evidence(t.Context(), dir, EvidenceOptions{Signer: officer}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "policy.json"))
	var said struct {
		How    struct{ Accept []string }
		Before []struct{ How struct{ Accept []string } } `json:"how_before"`
	}
	if err := errors.Join(err, json.Unmarshal(text, &said)); err != nil || len(said.How.Accept) != 0 || len(said.Before) != 1 || len(said.Before[0].How.Accept) != 1 {
		t.Errorf("%+v, %v: %s", said, err, text)
	}
}

// TestReportEndsWhenItIsToldTo: one of many millions of objects takes minutes.
func TestReportEndsWhenItIsToldTo(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 20)
	j := b.planned(t, Policy{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var text bytes.Buffer
	for _, format := range []string{"csv", "json", "html", "table"} {
		if err := j.Report(ctx, &text, ReportOptions{Format: format, Filter: report.Filter{KeyPrefix: "nobody has it"}}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", format, err)
		}
	}
	if _, err := j.Explain(ctx, "b", "a"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := j.Report(t.Context(), &text, ReportOptions{}); err != nil {
		t.Fatal(err)
	}
	if rows, err := csv.NewReader(strings.NewReader(text.String())).ReadAll(); err != nil || len(rows) != 21 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}
