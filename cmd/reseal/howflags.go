package main

import (
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
)

// howFlags reads how objects may be treated, and how fast and how long a run works.
type howFlags struct {
	operation, inspect, verify, guard oneOf
	accept                            words
	threshold, partSize               byteSize
	concurrency                       concurrency
	requests, kms                     float64
	bandwidth                         byteSize
	window, zone                      string
	stopAfter, lease                  span
	maxFailures                       share
	retryFailed                       bool
	events, onExit, ui                string
	requestTimeout                    span
	set                               *pflag.FlagSet
}

// AddPlanFlags adds what decides the operation of an object.
func (h *howFlags) AddPlanFlags(f *pflag.FlagSet) {
	h.set = f
	h.operation = wordOf(job.Operations[:])
	h.inspect = wordOf(job.Inspects[:])
	h.guard = wordOf(job.Guards[:])
	h.verify = wordOf(job.Verifies[:])
	h.accept = words{allowed: spelled(job.Acceptances[:])}
	f.Var(&h.operation, "operation", "which operation may be used")
	f.Var(&h.inspect, "inspect", "whether to HEAD an object before deciding")
	f.Var(&h.verify, "verify", "the proof to ask for, for each object")
	f.Var(&h.guard, "guard", "strict: never overwrite a concurrent write")
	f.Var(&h.accept, "accept", "losses and risks that you accept by name: "+orList(h.accept.allowed))
	f.Var(&h.threshold, "multipart-threshold", "from which size on an object is copied in parts; 256MiB by default")
	f.Var(&h.partSize, "part-size", "the size of the parts; 64MiB by default")
}

// wordOf is a flag that takes one of the words, the first where it is not given.
func wordOf[W ~string](known []W) oneOf {
	w := oneOf{allowed: spelled(known)}
	w.value = w.allowed[0]
	return w
}

func spelled[W ~string](known []W) (words []string) {
	for _, w := range known {
		words = append(words, string(w))
	}
	return words
}

// AddPaceFlags adds the ceilings.
func (h *howFlags) AddPaceFlags(f *pflag.FlagSet) {
	f.Var(&h.concurrency, "concurrency", "requests in flight")
	f.Float64Var(&h.requests, "max-requests-per-second", 0, "ceiling for requests; 0 for none")
	f.Float64Var(&h.kms, "max-kms-requests-per-second", 0, "ceiling for requests that use KMS; 0 for none")
	f.Var(&h.lease, "lease-duration", "for how long this process holds a job in a bucket without renewing, 1m by default; another that goes on waits a quarter longer")
	f.Var(&h.requestTimeout, "request-timeout", "give a request up after this long, 1m by default; a copy gets a second more for every 4MiB")
	f.Var(&h.bandwidth, "max-bandwidth", "ceiling for bytes a second that the store moves, for example 200MiB")
}

// AddRunFlags adds when a run works and when it stops.
func (h *howFlags) AddRunFlags(f *pflag.FlagSet) {
	f.StringVar(&h.window, "window", "", "work only inside it, for example 22:00-06:00 or Sat-Sun 00:00-24:00")
	f.StringVar(&h.zone, "time-zone", "", "the time zone of --window, for example Europe/Berlin; the machine's by default")
	f.Var(&h.stopAfter, "stop-after", "drain and stop after this long, for example 6h")
	f.Var(&h.maxFailures, "max-failures", "stop when more objects than this have failed")
	f.StringVar(&h.events, "events", "", "append what happens to this file, or - for standard output: one JSON object a line")
	f.StringVar(&h.ui, "ui", "", "serve a live page of the job here, on this machine, for example 127.0.0.1:8080; its address, with a token, is told on standard error")
	f.StringVar(&h.onExit, "on-exit", "", "run this command when the run ends, with RESEAL_EXIT_CODE, RESEAL_JOB and RESEAL_SUMMARY in its environment")
	f.BoolVar(&h.retryFailed, "retry-failed", false, "take the objects of an existing job again that failed or were left")
}

// Policy is what the flags say, over what the job recorded where a flag was not
// given.
func (h *howFlags) Policy(recorded *job.Policy) job.Policy {
	p := job.Policy{Operation: job.Operation(h.operation.value), Inspect: job.Inspect(h.inspect.value), Verify: job.Verify(h.verify.value),
		Guard: job.Guard(h.guard.value), MultipartThreshold: h.threshold.bytes, PartSize: h.partSize.bytes}
	for _, word := range h.accept.values {
		p.Accept = append(p.Accept, job.Acceptance(word))
	}
	if recorded == nil {
		return p
	}
	given := h.set.Changed
	keep(given("operation"), &p.Operation, recorded.Operation)
	keep(given("inspect"), &p.Inspect, recorded.Inspect)
	keep(given("verify"), &p.Verify, recorded.Verify)
	keep(given("guard"), &p.Guard, recorded.Guard)
	keep(given("multipart-threshold"), &p.MultipartThreshold, recorded.MultipartThreshold)
	keep(given("part-size"), &p.PartSize, recorded.PartSize)
	if !given("accept") {
		p.Accept = recorded.Accept
	}
	return p
}

// keep takes what the job recorded where the command line did not say.
func keep[T any](given bool, here *T, recorded T) {
	if !given {
		*here = recorded
	}
}

// Limits is what the flags say.
func (h *howFlags) Limits() (job.Limits, error) {
	l := job.Limits{Concurrency: h.concurrency.n, RequestsPerSecond: h.requests, KMSRequestsPerSecond: h.kms, BytesPerSecond: h.bandwidth.bytes,
		StopAfter: h.stopAfter.Duration, Lease: h.lease.Duration, MaxFailures: h.maxFailures.MaxFailures, RetryFailed: h.retryFailed, RequestTimeout: h.requestTimeout.Duration}
	if h.threshold.given && h.threshold.bytes < 1 {
		return l, unusablef("give a size up to 5GiB", "--multipart-threshold %s", h.threshold.text)
	}
	if h.partSize.given && h.partSize.bytes < 1 {
		return l, unusablef("S3 takes parts from 5MiB to 5GiB", "--part-size %s", h.partSize.text)
	}
	zone := time.Local
	var err error
	if h.zone != "" {
		if zone, err = time.LoadLocation(h.zone); err != nil {
			return l, unusablef("write it as Europe/Berlin or UTC", "--time-zone %q is unknown", h.zone)
		}
	}
	if l.Window, err = job.ParseWindow(h.window, zone); err != nil {
		return l, unusableBecause(err, "--window", "write it as 22:00-06:00, or as Sat-Sun 00:00-24:00; several with commas between them")
	}
	if h.zone != "" && l.Window == nil {
		return l, unusable("--time-zone was given without --window, and has no meaning without it", "give --window 22:00-06:00 too, or leave it out")
	}
	return l, l.Validate()
}

// outputFlags are how a verb speaks.
type outputFlags struct {
	json, noProgress, quiet bool
	logFormat               oneOf
	logLevel                oneOf
	metricsAddr             string
}

func (o *outputFlags) AddFlags(f *pflag.FlagSet) {
	o.logFormat = oneOf{value: "text", allowed: []string{"text", "json"}}
	o.logLevel = oneOf{value: "info", allowed: []string{"debug", "info", "warn", "error"}}
	f.BoolVar(&o.json, "json", false, "make the result one JSON object")
	f.BoolVar(&o.noProgress, "no-progress", false, "show no progress")
	f.BoolVar(&o.quiet, "quiet", false, "say nothing on standard error but errors")
	f.Var(&o.logFormat, "log-format", "the form of the log")
	f.Var(&o.logLevel, "log-level", "what the log tells")
	f.StringVar(&o.metricsAddr, "metrics-addr", "", "serve Prometheus metrics here, for example :9090")
}

// level is the slog level that was asked for.
func (o *outputFlags) level() slog.Level {
	return map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}[o.logLevel.value]
}
