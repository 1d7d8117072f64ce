package job

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestLimitsThatAreNone: what no run can be under is refused before anything is touched. A
// concurrency without bound took all memory of the machine, a window that nobody parsed
// ended the program by a panic, and a negative number of failures was no limit.
func TestLimitsThatAreNone(t *testing.T) {
	for name, l := range map[string]Limits{
		"concurrency":     {Concurrency: 1 << 40},
		"window":          {Window: &Window{}},
		"stop after":      {StopAfter: -time.Second},
		"request timeout": {RequestTimeout: -time.Second},
		"failures":        {MaxFailures: MaxFailures{Set: true, Count: -1}},
		"share":           {MaxFailures: MaxFailures{Set: true, Percent: math.NaN()}},
		"more than all":   {MaxFailures: MaxFailures{Set: true, Percent: 101}},
	} {
		var unusable *UnusableError
		if err := l.Validate(); !errors.As(err, &unusable) || unusable.Fix == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := Limits{Concurrency: MaxConcurrency, StopAfter: 1, RequestTimeout: 1, MaxFailures: MaxFailures{Percent: 100}}
	if err := l.Validate(); err != nil {
		t.Error(err)
	}
}

// TestWindowOfNoZone is the machine's own.
func TestWindowOfNoZone(t *testing.T) {
	w, err := ParseWindow("00:00-24:00", nil)
	if err != nil {
		t.Fatal(err)
	}
	if open, _ := w.at(time.Now()); !open {
		t.Error("closed")
	}
}

// TestOptionsOfNothing: a Watch that has nothing to end, and a LogFile that makes no
// handler, are as if they were not there. Both ended the program.
func TestOptionsOfNothing(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 3)
	sum, err := b.create(t, Policy{}).Run(t.Context(), Options{
		Watch:   func(*Running) (func(), error) { return nil, nil },
		LogFile: func(io.Writer) slog.Handler { return nil },
	})
	if err != nil || sum.Done != 3 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// TestSpecStaysItsMakers: of one specification several jobs can be made, at once too.
func TestSpecStaysItsMakers(t *testing.T) {
	spec := Spec{Source: Source{Bucket: "a"}, Target: Target{SSE: object.SSES3, DestBucket: "b"},
		Selection:      Selection{OnlyEncryption: []string{" none"}, OnlyStorageClass: []string{"standard"}, OnlyClientSide: []string{"none "}},
		DestConnection: &DestConnection{EndpointURL: "http://127.0.0.1:1/"}}
	for range 2 {
		if _, err := CreateContext(context.Background(), t.TempDir(), spec, Policy{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Concat(spec.Selection.OnlyEncryption, spec.Selection.OnlyStorageClass, spec.Selection.OnlyClientSide); !slices.Equal(got, []string{" none", "standard", "none "}) {
		t.Errorf("the selection is %q", got)
	}
	if spec.DestConnection.EndpointURL != "http://127.0.0.1:1/" {
		t.Errorf("the destination is at %s", spec.DestConnection.EndpointURL)
	}
}
