package job

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// TestSpecsThatAreNone: what a specification says and does not mean is refused before any
// store is asked. A date in words alone selected everything, and a bucket that is none was
// waited for.
func TestSpecsThatAreNone(t *testing.T) {
	folder, key := t.TempDir(), ""
	key = filepath.Join(folder, "key")
	if err := os.WriteFile(key, bytes.Repeat([]byte("k"), 32), 0o600); err != nil {
		t.Fatal(err)
	}
	far := time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, change := range map[string]func(s *Spec){
		"before in words":     func(s *Spec) { s.Selection.ModifiedBefore = "30d" },
		"after in words":      func(s *Spec) { s.Selection.ModifiedAfter = "30d" },
		"a far year":          func(s *Spec) { s.Selection.Before = far },
		"an address as place": func(s *Spec) { s.Source = Source{Several: []Place{{Bucket: "a"}, {Bucket: "s3://b"}}} },
		"a path as place":     func(s *Spec) { s.Source = Source{Several: []Place{{Bucket: "../b"}}} },
		"an address as dest":  func(s *Spec) { s.Target.DestBucket = "s3://b" },
		"a line as key":       func(s *Spec) { s.Target = Target{SSE: object.SSEKMS, KMSKeyID: "alias/new\n"} },
		"a line as class":     func(s *Spec) { s.Target.StorageClass = "STANDARD\r\n" },
		"a line as owner":     func(s *Spec) { s.Connection.ExpectedBucketOwner = "111122223333\n" },
		"a key in the folder": func(s *Spec) {
			s.Source, s.Target.DestBucket, s.Target.SourceKeyFile = Source{Folder: folder}, "b", key
		},
		"keys in the folder": func(s *Spec) {
			s.Source, s.Target.DestBucket, s.Target.MoreSourceKeyFiles = Source{Folder: folder}, "b", []string{key}
		},
	} {
		s := Spec{Source: Source{Bucket: "a"}, Target: Target{SSE: object.SSES3}}
		change(&s)
		var unusable *UnusableError
		if err := s.Validate(); !errors.As(err, &unusable) || unusable.Fix == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnotherTimeIsAnotherJob, also where no person wrote it.
func TestAnotherTimeIsAnotherJob(t *testing.T) {
	one := Spec{Source: Source{Bucket: "a"}, Selection: Selection{Before: time.Unix(1_700_000_000, 0)}}
	other := one
	other.Selection.Before = time.Unix(1_800_000_000, 0)
	if same, diff := one.Differences(&one), one.Differences(&other); len(same) != 0 || len(diff) != 1 || diff[0].Field != "Selection.ModifiedBefore" {
		t.Errorf("%v, %v", same, diff)
	}
}

// TestAKeyFileHasAnEnd: of what holds no key no more is read than shows that.
func TestAKeyFileHasAnEnd(t *testing.T) {
	large := filepath.Join(t.TempDir(), "disk.img")
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, 1<<30)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Target){
		"customer": func(g *Target) { g.SSE, g.CustomerKeyFile = object.SSEC, large },
		"source":   func(g *Target) { g.SourceKeyFile = large },
		"wrapping": func(g *Target) { g.SSE, g.ClientSide = object.SSEUnknown, ClientSide{Format: "v3", KeyFile: large} },
	} {
		s := Spec{Source: Source{Bucket: "a"}, Target: Target{SSE: object.SSES3}}
		change(&s.Target)
		var unusable *UnusableError
		if err := s.Validate(); !errors.As(err, &unusable) || !strings.Contains(err.Error(), "which no key has") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
