package planner

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

var testPrices = &Prices{Date: "2026-01-01", Region: "test", Currency: "USD", KMSPer10000: 0.03, Classes: map[string]ClassPrice{
	"STANDARD":   {PutPer1000: 5, GetPer1000: 0.4, StorageGBMonth: 2},
	"GLACIER_IR": {PutPer1000: 20, GetPer1000: 10, StorageGBMonth: 4, RetrievalGB: 3, MinimumDays: 90, MinimumBytes: 1 << 20},
}}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func planned(n int, op object.Operation, change func(*object.Task)) []object.Task {
	out := make([]object.Task, n)
	for i := range out {
		out[i] = object.Task{Object: under(object.SSES3, ""), Operation: op}
		out[i].Object.Settled, out[i].Object.Size = true, 1<<30
		change(&out[i])
	}
	return out
}

func estimateOf(opt EstimateOptions, tasks ...[]object.Task) *Estimate {
	opt.Prices, opt.Now = testPrices, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	e := NewEstimator(opt)
	for _, ts := range tasks {
		for i := range ts {
			e.Add(&ts[i])
		}
	}
	return e.Estimate()
}

func nothing(*object.Task) {}

func TestEstimateOfCopies(t *testing.T) {
	opt := EstimateOptions{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts(), RequestsPerSecond: 10}
	e := estimateOf(opt, planned(100, object.OpCopy, nothing),
		planned(10, object.OpNone, func(x *object.Task) { x.Already = true }),
		planned(7, object.OpNone, func(x *object.Task) { x.Reason = object.ReasonArchived }),
		planned(3, object.OpCopy, func(x *object.Task) {
			x.Object.Settled = false
			x.Object.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: keyA}
		}))
	if e.Total.Objects != 120 || e.Already.Objects != 10 || len(e.Left) != 1 || e.Left[0].Objects != 7 || e.Left[0].Reason != object.ReasonArchived {
		t.Errorf("%+v", e)
	}
	if len(e.Work) != 2 || e.Work[0].Objects != 100 || e.Work[0].Operation != "copy" || e.Work[1].Source != object.SSEKMS {
		t.Errorf("%+v", e.Work)
	}
	if e.Requests["copy"] != 103 || e.Requests["head"] != 3 || len(e.Requests) != 2 || e.KMSCalls != 106 {
		t.Errorf("%v, %d", e.Requests, e.KMSCalls)
	}
	near(t, "growth", float64(e.Growth), 103<<30)
	near(t, "storage", e.Cost.StoragePerMonth, 206)
	near(t, "requests", e.Cost.Requests, 103*0.005+3*0.0004)
	near(t, "kms", e.Cost.KMS, 106*0.000003)
	near(t, "total", e.Cost.Total, e.Cost.Requests+e.Cost.KMS)
	near(t, "seconds", e.Seconds, 10.6)
}

func TestEstimateOfUpdates(t *testing.T) {
	opt := EstimateOptions{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts()}
	opt.Target.BucketKey = object.On
	e := estimateOf(opt, planned(1000, object.OpUpdate, func(x *object.Task) { x.Object.StorageClass = "GLACIER_IR" }))
	if e.Requests["update"] != 1000 || e.Requests["head"] != 1000 || e.KMSCalls != 10 || e.Growth != 0 || len(e.EarlyDeletion) != 0 {
		t.Errorf("%+v", e)
	}
	near(t, "requests: an update is charged as STANDARD, a HEAD as its class", e.Cost.Requests, 5+10)
}

func TestEstimateOfMultipart(t *testing.T) {
	opt := EstimateOptions{Target: object.Target{SSE: object.SSES3}, Caps: awsCaps(), Facts: plainFacts(), PartSize: 100 << 20, VerifyHead: true}
	e := estimateOf(opt, planned(2, object.OpMultipart, nothing), planned(1, object.OpMultipart, func(x *object.Task) { x.Object.Size = 0 }))
	if e.Requests["part"] != 23 || e.Requests["create"] != 3 || e.Requests["complete"] != 3 || e.Requests["head"] != 3+2 || e.Requests["get_detail"] != 3+2 || e.KMSCalls != 0 {
		t.Errorf("%+v", e.Requests) // those in many parts are looked at once more
	}
}

// TestL8EstimateOfAnnotations: they are asked for where they would be dropped, as
// often as the tags, at the rate of a LIST.
func TestL8EstimateOfAnnotations(t *testing.T) {
	opt := EstimateOptions{Target: object.Target{SSE: object.SSES3}, Caps: awsCaps(), Facts: plainFacts(), PartSize: 100 << 20}
	tasks := [][]object.Task{planned(2, object.OpMultipart, nothing), planned(3, object.OpRewrite, nothing), planned(5, object.OpCopy, nothing),
		planned(7, object.OpRewrite, func(x *object.Task) { x.Object.Encryption.Type = object.SSEC })}
	without := estimateOf(opt, tasks...)
	opt.Annotations = true
	with := estimateOf(opt, tasks...)
	if n := with.Requests["get_detail"] - without.Requests["get_detail"]; n != 2*2+3*2 { // all are in parts, of which the last look is one more
		t.Errorf("%d requests more, want 10", n)
	}
	near(t, "their price", with.Cost.Requests-without.Cost.Requests, 10*0.005)
}

// TestEstimateOfRewrites: the GET inspects, the PUT's reply proves, and the bytes
// pass this machine.
func TestEstimateOfRewrites(t *testing.T) {
	facts := plainFacts()
	facts.Versioning = object.VersioningOff
	opt := EstimateOptions{Target: kms(keyB), Caps: guardingMinIO(), Facts: facts}
	e := estimateOf(opt, planned(4, object.OpRewrite, func(x *object.Task) { x.Object.Size, x.Object.Settled = 1000, false }))
	if e.Requests["get"] != 4 || e.Requests["put"] != 4 || e.Requests["get_detail"] != 4 || len(e.Requests) != 3 || e.ClientBytes != 4000 || e.Growth != 0 {
		t.Errorf("%v, %d bytes", e.Requests, e.ClientBytes)
	}
	if len(e.Work) != 1 || e.Work[0].Operation != "rewrite" || e.Work[0].Objects != 4 {
		t.Errorf("%+v", e.Work)
	}
	large := estimateOf(opt, planned(2, object.OpRewrite, func(x *object.Task) { x.Object.Size, x.Object.Settled = 40<<20, true }))
	if r := large.Requests; r["create"] != 2 || r["get"] != 2*3 || r["part"] != 2*3 || r["complete"] != 2 || r["put"] != 0 || r["head"] != 2*2 || large.ClientBytes != 80<<20 {
		t.Errorf("in parts: %v, %d bytes", large.Requests, large.ClientBytes)
	}
	var b bytes.Buffer
	if err := e.WriteText(&b); err != nil || !strings.Contains(b.String(), "Network     3.9 KiB are read by this machine and written again") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestEstimateOfEarlyDeletion(t *testing.T) {
	facts := plainFacts()
	facts.Versioning = object.VersioningOff
	cold := func(age int) func(*object.Task) {
		return func(x *object.Task) {
			x.Object.StorageClass = "GLACIER_IR"
			x.Object.LastModified = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -age)
		}
	}
	opt := EstimateOptions{Target: object.Target{SSE: object.SSES3}, Caps: awsCaps(), Facts: facts}
	e := estimateOf(opt, planned(10, object.OpCopy, cold(60)), planned(5, object.OpCopy, cold(91)))
	if len(e.EarlyDeletion) != 1 || e.EarlyDeletion[0].Objects != 10 || e.EarlyDeletion[0].StorageClass != "GLACIER_IR" || e.Growth != 0 {
		t.Fatalf("%+v", e.EarlyDeletion)
	}
	near(t, "the other thirty days", e.Cost.EarlyDeletion, 10*4)
	near(t, "retrieval", e.Cost.Retrieval, 15*3)
	facts.Versioning = object.VersioningEnabled
	opt.Facts = facts
	if e := estimateOf(opt, planned(10, object.OpCopy, cold(60))); len(e.EarlyDeletion) != 0 || e.Growth != 10<<30 {
		t.Errorf("a version that is kept is not deleted early: %+v", e.EarlyDeletion)
	}
}

func TestEstimateText(t *testing.T) {
	opt := EstimateOptions{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts(), RequestsPerSecond: 3500, VerifyHead: true}
	var e *Estimate
	for range 2 { // without and with everything
		e = estimateOf(opt, planned(12345, object.OpCopy, nothing), planned(9, object.OpUndecided, nothing),
			planned(10, object.OpNone, func(x *object.Task) { x.Reason = object.ReasonComposite }))
		var b bytes.Buffer
		if err := e.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(b.String(), "\n") {
			if len(line) > textWidth {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
		for _, want := range []string{"12,345", "left: composite-checksum", "prices of 2026-01-01", "a second", "not inspected"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in\n%s", want, b.String())
			}
		}
		opt.Elsewhere = true
	}
	if data, err := json.Marshal(e); err != nil || !strings.Contains(string(data), `"storage_growth_bytes"`) {
		t.Errorf("%v: %s", err, data)
	}
	for seconds, want := range map[float64]string{0.5: "under a second", 59: "59s", 61: "1m 1s", 3600: "1h", 90061: "1d 1h", 1e12: "decades"} {
		if got := span(seconds); got != want {
			t.Errorf("span(%v) = %s, want %s", seconds, got, want)
		}
	}
}

func TestPrices(t *testing.T) {
	p := DefaultPrices()
	if p.class("").PutPer1000 != p.Classes["STANDARD"].PutPer1000 || p.class("UNHEARD_OF") != p.Classes["STANDARD"] {
		t.Error("STANDARD is not the default")
	}
	for _, bad := range []string{"", "{}", `{"date":"yesterday","currency":"USD","classes":{"STANDARD":{}}}`, `{"date":"2026-01-01","currency":"USD","classes":{}}`,
		`{"date":"2026-01-01","currency":"USD","classes":{"STANDARD":{"put_per_1000":-1}}}`, `{"date":"2026-01-01","currency":"USD","classes":{"STANDARD":{}},"typo":1}`} {
		if _, err := ParsePrices([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a price list", bad)
		}
	}
}

func TestCountInEstimates(t *testing.T) {
	for a, want := range map[Amount]string{{Objects: 1, Bytes: 1}: "1 object, 1 B", {Objects: 1234}: "1,234 objects, 0 B"} {
		if got := amount(a); got != want {
			t.Errorf("amount(%v) = %q, want %q", a, got, want)
		}
	}
}

// TestEstimateOfSeveralBuckets: each task counts as its own bucket stands, and regions
// that the prices are not of are named.
func TestEstimateOfSeveralBuckets(t *testing.T) {
	opt := func(v object.Versioning, region string) EstimateOptions {
		return EstimateOptions{Target: object.Target{SSE: object.SSES3}, Caps: awsCaps(), Facts: object.BucketFacts{Versioning: v, Region: region}, RequestsPerSecond: 1000}
	}
	task := &object.Task{Operation: object.OpCopy, Object: object.Object{Size: 10, Settled: true, StorageClass: "STANDARD"}}
	e := NewEstimator(opt(object.VersioningOff, "us-east-1"))
	e.Add(task)
	e.Under(opt(object.VersioningEnabled, "eu-central-1"))
	e.Add(task)
	e.Add(task)
	e.Under(opt(object.VersioningOff, "us-east-1"))
	e.Add(task)
	got := e.Estimate()
	if got.Growth != 20 || got.Total.Objects != 4 || !slices.Equal(got.Cost.Elsewhere, []string{"eu-central-1"}) {
		t.Errorf("growth %d of %d objects, elsewhere %v", got.Growth, got.Total.Objects, got.Cost.Elsewhere)
	}
	var text strings.Builder
	if err := got.WriteText(&text); err != nil || !strings.Contains(strings.Join(strings.Fields(text.String()), " "), "prices are others in eu-central-1, and --prices takes a list of them") {
		t.Errorf("%v: %s", err, &text)
	}
}
