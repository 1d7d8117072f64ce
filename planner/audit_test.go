package planner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// sixKinds are rows as a listing gives them, and the store that knows better.
func sixKinds(n int) ([]object.Object, Inspector, map[auditKey]Amount) {
	truth := map[auditKey]Amount{}
	kind := func(i int) object.Object {
		o := under(object.SSES3, "")
		switch i % 12 {
		case 0:
			o = under(object.SSENone, "")
		case 1, 2:
			o = under(object.SSEKMS, keyA)
		case 3:
			o = under(object.SSEKMS, keyA)
			o.Encryption.BucketKey = true
		case 4:
			o = under(object.SSEKMS, keyB)
		case 5:
			o.ClientSide = "v2 kms+context"
		case 6:
			o.StorageClass = "STANDARD_IA"
		}
		o.Key, o.Size = fmt.Sprintf("k%07d", i), int64(i%100)
		return o
	}
	rows := make([]object.Object, n)
	for i := range rows {
		o := kind(i)
		k := auditKeyOf(&o)
		t := truth[k]
		t.add(o.Size)
		truth[k] = t
		rows[i] = o
		rows[i].Encryption, rows[i].ClientSide = object.Encryption{}, ""
	}
	inspect := func(_ context.Context, o *object.Object) (object.Head, error) {
		var i int
		if _, err := fmt.Sscanf(o.Key, "k%d", &i); err != nil {
			return object.Head{}, err
		}
		return object.Head{Object: kind(i)}, nil
	}
	return rows, inspect, truth
}

func TestAuditCountsWhatTheStoreShows(t *testing.T) {
	rows, inspect, truth := sixKinds(1200)
	for name, sample := range map[string]int{"all": 0, "a sample as large as the whole": 1200, "larger": 5000} {
		a, err := RunAudit(t.Context(), &rowsSource{rows, 4, 100}, &Selection{}, AuditOptions{Inspect: inspect, Inspectors: 9, Sample: sample})
		if err != nil {
			t.Fatal(err)
		}
		if a.Objects != 1200 || a.Sampled != 0 || a.Margin != 0 || len(a.ByEncryption) != len(truth) {
			t.Fatalf("%s: %+v", name, a)
		}
		for _, r := range a.ByEncryption {
			want := truth[auditKey{r.Encryption, r.KMSKeyID, r.StorageClass, r.BucketKey, r.Envelope, ""}]
			if r.Objects != want.Objects || r.Bytes != want.Bytes {
				t.Errorf("%s: %+v, want %+v", name, r, want)
			}
		}
	}
}

func TestAuditEndsAtItsLimit(t *testing.T) {
	rows, inspect, _ := sixKinds(1200)
	audit, err := RunAudit(t.Context(), &rowsSource{rows, 4, 100}, &Selection{Limit: 250}, AuditOptions{Inspect: inspect, Inspectors: 4})
	if err != nil {
		t.Fatal(err)
	}
	if audit.Objects != 250 {
		t.Errorf("%d objects, want 250", audit.Objects)
	}
}

func TestAuditOfASampleStaysWithinItsMargin(t *testing.T) {
	rows, inspect, truth := sixKinds(24_000)
	outside, checked := 0, 0
	for range 20 {
		a, err := RunAudit(t.Context(), &rowsSource{rows, 4, 1000}, &Selection{}, AuditOptions{Inspect: inspect, Sample: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if a.Objects != 24_000 || a.Sampled != 1000 || a.Margin <= 0.02 || a.Margin > 0.04 {
			t.Fatalf("%d objects from a sample of %d, margin %v", a.Objects, a.Sampled, a.Margin)
		}
		for _, r := range a.ByEncryption {
			want := truth[auditKey{r.Encryption, r.KMSKeyID, r.StorageClass, r.BucketKey, r.Envelope, ""}]
			checked++
			if math.Abs(float64(r.Objects)-float64(want.Objects))/24_000 > a.Margin {
				outside++
			}
		}
	}
	if outside > checked/20 {
		t.Errorf("%d of %d shares are outside the margin", outside, checked)
	}
}

func TestAuditOfToldRowsAsksNothing(t *testing.T) {
	rows := manyRows(100)
	inspect := func(context.Context, *object.Object) (object.Head, error) {
		t.Error("an object was inspected whose row tells everything")
		return object.Head{}, nil
	}
	a, err := RunAudit(t.Context(), &rowsSource{rows, 2, 10}, &Selection{}, AuditOptions{Inspect: inspect})
	if err != nil || a.Objects != 90 || len(a.ByEncryption) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	rows[0].Encryption = object.Encryption{}
	a, err = RunAudit(t.Context(), &rowsSource{rows, 2, 10}, &Selection{}, AuditOptions{})
	if err != nil || a.ByEncryption[0].Encryption != object.SSEUnknown || a.ByEncryption[0].Objects != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAuditNamesWhatDoesNotAnswer(t *testing.T) {
	rows, inspect := untold(1000)
	a, err := RunAudit(t.Context(), &rowsSource{rows, 2, 100}, &Selection{}, AuditOptions{Inspect: inspect})
	if err != nil || a.Objects != 800 || a.Unanswered != 200 || a.ByEncryption[0].Encryption != object.SSEUnknown {
		t.Errorf("%+v, %v", a, err)
	}
	stop := func(_ context.Context, o *object.Object) (object.Head, error) {
		return object.Head{}, &object.Error{Class: object.ClassCredentials, Ref: o.Ref}
	}
	if a, err := RunAudit(t.Context(), &rowsSource{rows, 2, 100}, &Selection{}, AuditOptions{Inspect: stop}); object.ClassOf(err) != object.ClassCredentials {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAuditForms(t *testing.T) {
	a := &Audit{Objects: 3, Bytes: 5000, Sampled: 2, Margin: 0.031, Unanswered: 1, ByEncryption: []AuditRow{
		{Encryption: object.SSENone, StorageClass: "STANDARD", Objects: 1, Bytes: 1000},
		{Encryption: object.SSEKMS, KMSKeyID: keyA, BucketKey: true, ClientSide: true, Envelope: "v2 kms+context", Content: "AES-GCM", StorageClass: "GLACIER_IR", Objects: 2, Bytes: 4000}}}
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"objects":3`, `"by_encryption":[{"encryption":"none",`, `"kms_key_id":"` + keyA + `"`, `"bucket_key":true`,
		`"client_side":false`, `"storage_class":"STANDARD"`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s in %s", want, data)
		}
	}
	var text, table bytes.Buffer
	if err := a.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(text.String(), "\n") {
		if len(line) > 120 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if err := a.WriteCSV(&table); err != nil || strings.Count(table.String(), "\n") != 3 {
		t.Errorf("%v: %s", err, table.String())
	}
}

// The margin holds what it promises: of many samples, at most one in twenty is
// further off, whatever the share and however small the sample.
func TestMarginHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 21))
	for _, n := range []uint64{10, 100, 400} {
		for _, share := range []float64{0.001, 0.01, 0.04, 0.1, 0.3, 0.5} {
			const times = 2000
			within, all := 0, uint64(1_000_000)
			for range times {
				a := &auditing{}
				a.mu.untold.Objects, a.mu.drawn = all, map[auditKey]*Amount{}
				for range n {
					kind := object.SSES3
					if r.Float64() < share {
						kind = object.SSEKMS
					}
					at(a.mu.drawn, auditKey{encryption: kind}).add(1)
				}
				seen := 0.0
				if x := a.mu.drawn[auditKey{encryption: object.SSEKMS}]; x != nil {
					seen = float64(x.Objects) / float64(n)
				}
				m := a.margin(n)
				if m > 1 {
					t.Fatalf("a margin of %.2f", m)
				}
				if math.Abs(seen-share) <= m {
					within++
				}
			}
			if held := float64(within) / times; held < 0.945 { // and the chance of 2,000 samples
				t.Errorf("a share of %g, %d drawn: within the margin in %.1f%% of the samples", share, n, held*100)
			}
		}
	}
}
