package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"reseal": main, "reseal-crashing": crashing, "reseal-warm": stayWarm})
}

// suite runs the tests of this package side by side, with their folders in memory: a job
// makes many files durable, and what survives the death of a process needs no disk for it.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	dir, free, err := realserver.TempDir()
	if err == nil {
		// The tests wait more than they work: for retries, for processes that are to die, for
		// the end of a minute. -parallel says otherwise.
		err = errors.Join(os.Setenv("TMPDIR", dir), flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // the embedded stores are small, and many
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(4 << 30) // which they would take eight of, on a machine that may have less
	}
	code := s.m.Run()
	if err := free(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// crashing is reseal with a fault: a goroutine of it panics once the job is at work.
func crashing() {
	go func() {
		for status := os.Getenv("RESEAL_TEST_STATUS"); ; <-time.After(10 * time.Millisecond) {
			if data, err := os.ReadFile(status); err == nil && strings.Contains(string(data), `"stage":"working"`) {
				panic("planted")
			}
		}
	}()
	main()
}

// TestTranscripts runs every transcript in testdata: what a person types, and
// what comes back, exit codes included.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "s3": storeCommand, "batch": batchCommand, "waitfor": waitfor, "scrape": scrape},
		Setup: func(env *testscript.Env) error {
			// Nothing of this machine's own AWS configuration reaches a transcript.
			env.Setenv("AWS_CONFIG_FILE", os.DevNull)
			env.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("HOME", env.WorkDir)
			env.Values[scriptStoreKey{}] = &scriptStore{before: map[string]s3test.Bucket{}}
			return nil
		},
	})
}
