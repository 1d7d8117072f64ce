package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/resealhq/reseal/engine/s3test"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"reseal": main, "reseal-crashing": crashing})
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
