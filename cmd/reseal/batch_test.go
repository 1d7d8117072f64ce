package main

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/resealhq/reseal/engine/s3test/s3control"
)

// batchCommand is `batch`, a transcript's command for S3 Batch Operations beside its
// embedded store.
//
//	batch start [NAME=VALUE…]   start it; rate, rows, failafter, stale, throttle, keys=raw|plus, late=DURATION
//	batch fail GLOB STATUS CODE [applied]   let tasks fail too; a GLOB of - takes all back
//	batch hold STATE            keep jobs there that enter it; - lets them go
//	batch wait STATE            wait until a job is in the state
//	batch cancel                cancel all jobs, as somebody at the console would
//	batch jobs N                fail unless N jobs were made
//	batch priority N            fail unless the last job has it
//	batch states STATE…         fail unless the last job was in these, in this order
func batchCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: batch start|fail|hold|wait|cancel|jobs|states ARGS…")
	}
	st := ts.Value(scriptStoreKey{}).(*scriptStore)
	if args[0] == "start" {
		st.batch = s3control.New(batchConfig(ts, st, args[1:]))
		ts.Defer(st.batch.Close)
		ts.Setenv("AWS_ENDPOINT_URL_S3_CONTROL", st.batch.URL())
		return
	}
	if st.batch == nil {
		ts.Fatalf("batch start comes first")
	}
	a := append(args, "", "", "", "")
	switch args[0] {
	case "fail":
		st.failing = append(st.failing, a)
		if a[1] == "-" {
			st.failing = nil
		}
		st.batch.SetFault(faultOf(st.failing))
	case "hold":
		st.batch.Hold(s3control.State(strings.TrimPrefix(a[1], "-")))
	case "wait":
		if !st.batch.Wait(s3control.State(a[1]), 2*time.Minute) {
			ts.Fatalf("no job became %s: %+v", a[1], st.batch.Jobs())
		}
	case "cancel":
		st.batch.Cancel()
	case "jobs":
		if n := len(st.batch.Jobs()); fmt.Sprint(n) != a[1] {
			ts.Fatalf("%d jobs were made, want %s", n, a[1])
		}
	case "priority":
		jobs := st.batch.Jobs()
		if got := fmt.Sprint(jobs[len(jobs)-1].Priority); got != a[1] {
			ts.Fatalf("the job has priority %s, want %s", got, a[1])
		}
	case "states":
		jobs := st.batch.Jobs()
		if got := fmt.Sprint(jobs[len(jobs)-1].States); got != fmt.Sprint(args[1:]) {
			ts.Fatalf("the job was in %s, want %s", got, args[1:])
		}
	default:
		ts.Fatalf("unknown: batch %s", args[0])
	}
}

// faultOf is what the rules say of a task, the first that matches it.
func faultOf(rules [][]string) func(key string) *s3control.Fault {
	return func(key string) *s3control.Fault {
		for _, a := range rules {
			if hit, err := path.Match(a[1], key); err == nil && hit {
				status, _ := strconv.Atoi(a[2])
				return &s3control.Fault{Status: status, Code: a[3], Message: "said to fail", Applied: a[4] == "applied"}
			}
		}
		return nil
	}
}

func batchConfig(ts *testscript.TestScript, st *scriptStore, words []string) s3control.Config {
	if st.server == nil {
		ts.Fatalf("s3 start comes first")
	}
	cfg := s3control.Config{Store: st.server}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch name {
		case "rate":
			cfg.Rate = n
		case "rows":
			cfg.RowsPerFile = n
		case "failafter":
			cfg.FailAfter = n
		case "stale":
			cfg.Stale = n
		case "throttle":
			cfg.ThrottleEvery = n
		case "keys":
			cfg.Keys = map[string]s3control.KeyForm{"raw": s3control.Raw, "plus": s3control.EncodedPlus}[value]
		case "late":
			d, err := time.ParseDuration(value)
			ts.Check(err)
			cfg.ReportLate = d
		default:
			ts.Fatalf("unknown setting %q", w)
		}
	}
	return cfg
}
