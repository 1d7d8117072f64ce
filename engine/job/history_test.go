package job

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/report"
)

// TestHistoryStaysSmall: two days of moments leave a file that is small and even; a line
// that a crash cut, and one of a clock that went back, are passed over.
func TestHistoryStaysSmall(t *testing.T) {
	j := &Job{Dir: "a job", local: t.TempDir()}
	log := slog.New(slog.DiscardHandler)
	began := time.Date(2026, 11, 28, 22, 0, 0, 0, time.UTC)
	h := openHistory(j, new(latencies), log)
	live := func(s int) *Live {
		return &Live{Progress: &report.Snapshot{At: began.Add(time.Duration(s) * time.Second), Planned: 1 << 20, Done: uint64(s)}}
	}
	const end = 48 * 3600
	for s := 0; s < end; s++ {
		h.add(live(s))
	}
	h.last(live(end))
	all := j.History()
	info, err := os.Stat(j.path(historyName))
	if err != nil || info.Size() > 1<<20 || len(all) < maxMoments/2 || len(all) > maxMoments {
		t.Fatalf("%d moments: %v %v", len(all), info, err)
	}
	if all[len(all)-1].Done != end {
		t.Errorf("the last one is %+v", all[len(all)-1])
	}
	for i := 1; i < len(all)-1; i++ {
		if d := all[i].At.Sub(all[i-1].At); d > 4*h.every || d <= 0 {
			t.Fatalf("moment %d is %v after the one before, they are to be %v apart", i, d, h.every)
		}
	}
	f, err := os.OpenFile(j.path(historyName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	early := lineOf(&report.Moment{At: began.Add(-time.Hour), Done: 7})
	late := lineOf(&report.Moment{At: began.Add(72 * time.Hour), Done: 7})
	flipped := bytes.Replace(late, []byte(`"done":7`), []byte(`"done":8`), 1)
	_, _ = f.Write(slices.Concat(early, flipped, late[:len(late)-9]))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if again := j.History(); len(again) != len(all) {
		t.Errorf("%d moments of %d", len(again), len(all))
	}
}

// TestKeptIsWhole: what other verbs left for the report is shown as they left it, or not
// at all.
func TestKeptIsWhole(t *testing.T) {
	j := &Job{Dir: "a job", local: t.TempDir()}
	j.keepVerified(&Verdict{Verified: 1234, Different: 5}, slog.New(slog.DiscardHandler))
	if v := j.lastVerified(); v == nil || len(v.Lines) != 2 || v.Lines[0].Value != "1,234 objects" {
		t.Fatalf("%+v", v)
	}
	whole, err := os.ReadFile(j.path(verifiedName))
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		for _, data := range [][]byte{slices.Concat(whole[:at], []byte{whole[at] ^ 1}, whole[at+1:]), whole[:at]} {
			if err := os.WriteFile(j.path(verifiedName), data, 0o600); err != nil {
				t.Fatal(err)
			}
			if v := j.lastVerified(); v != nil {
				t.Fatalf("changed or cut at %d it is believed: %+v", at, v)
			}
		}
	}
}

// TestKeepsAVerdictOfManyKeys: a bucket with a key for each of 20,000 customers has a
// verdict of some megabytes, and the report shows that too.
func TestKeepsAVerdictOfManyKeys(t *testing.T) {
	j := &Job{Dir: "a job", local: t.TempDir()}
	d := &Verdict{Verified: 1}
	for i := range 20_000 {
		d.Dependents = append(d.Dependents, Dependents{Encryption: "aws:kms", Current: 1, Example: fmt.Sprintf("s3://b/customer/%d", i),
			KMSKeyID: fmt.Sprintf("arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-%012d", i)})
	}
	j.keepVerified(d, slog.New(slog.DiscardHandler))
	if v := j.lastVerified(); v == nil || len(v.Lines) != 1+len(d.Dependents) {
		t.Fatalf("of %d keys the report shows %+v", len(d.Dependents), v)
	}
}
