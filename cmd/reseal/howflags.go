package main

import (
	"log/slog"
	"math"
	"time"

	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/object"
)

// consent is how objects may be treated. The job remembers it from its first
// run, so that a resumed run needs no repetition; a flag given again decides for
// that run.
type consent struct {
	Operation          string   `json:"operation"`
	Inspect            string   `json:"inspect"`
	Verify             string   `json:"verify"`
	Guard              string   `json:"guard"`
	Accept             []string `json:"accept,omitempty"`
	MultipartThreshold int64    `json:"multipart_threshold,omitempty"`
	PartSize           int64    `json:"part_size,omitempty"`
}

// tempo is how fast and how long one run works; every run says it anew.
type tempo struct {
	Concurrency    int // 0 finds it
	RequestsPerSec float64
	KMSPerSec      float64
	BytesPerSec    int64
	Window         *window
	StopAfter      time.Duration
	MaxFailures    share
	RetryFailed    bool
	RequestTimeout time.Duration
}

// accepts lists the losses and risks that an operator can accept by name.
var accepts = [...]string{"acl", "lock", "tags", "redirect", "composite-checksum", "encryption-context", "expires", "concurrent-writes", "unproven-encryption"}

type howFlags struct {
	operation, inspect, verify, guard oneOf
	accept                            words
	threshold, partSize               byteSize
	concurrency                       concurrency
	requests, kms                     float64
	bandwidth                         byteSize
	window, zone                      string
	stopAfter                         span
	maxFailures                       share
	retryFailed                       bool
	requestTimeout                    span
	set                               *pflag.FlagSet
}

// AddPlanFlags adds what decides the operation of an object.
func (h *howFlags) AddPlanFlags(f *pflag.FlagSet) {
	h.set = f
	h.operation = oneOf{value: "auto", allowed: []string{"auto", "update", "copy"}}
	h.inspect = oneOf{value: "auto", allowed: []string{"auto", "always", "never"}}
	h.guard = oneOf{value: "auto", allowed: []string{"auto", "strict"}}
	h.verify = oneOf{value: "auto", allowed: []string{"auto", "response", "head", "read"}}
	h.accept = words{allowed: accepts[:]}
	f.Var(&h.operation, "operation", "which operation may be used")
	f.Var(&h.inspect, "inspect", "whether to HEAD an object before deciding")
	f.Var(&h.verify, "verify", "the proof to ask for, for each object")
	f.Var(&h.guard, "guard", "strict: never overwrite a concurrent write")
	f.Var(&h.accept, "accept", "losses and risks that you accept by name: "+orList(accepts[:]))
	f.Var(&h.threshold, "multipart-threshold", "from which size on an object is copied in parts; 256MiB by default")
	f.Var(&h.partSize, "part-size", "the size of the parts; 64MiB by default")
}

// AddPaceFlags adds the ceilings.
func (h *howFlags) AddPaceFlags(f *pflag.FlagSet) {
	f.Var(&h.concurrency, "concurrency", "requests in flight")
	f.Float64Var(&h.requests, "max-requests-per-second", 0, "ceiling for requests; 0 for none")
	f.Float64Var(&h.kms, "max-kms-requests-per-second", 0, "ceiling for requests that use KMS; 0 for none")
	f.Var(&h.requestTimeout, "request-timeout", "give a request up after this long, 1m by default; a copy gets a second more for every 4MiB")
	f.Var(&h.bandwidth, "max-bandwidth", "ceiling for bytes a second that the store moves, for example 200MiB")
}

// AddRunFlags adds when a run works and when it stops.
func (h *howFlags) AddRunFlags(f *pflag.FlagSet) {
	f.StringVar(&h.window, "window", "", "work only inside it, for example 22:00-06:00 or Sat-Sun 00:00-24:00")
	f.StringVar(&h.zone, "time-zone", "", "the time zone of --window, for example Europe/Berlin; the machine's by default")
	f.Var(&h.stopAfter, "stop-after", "drain and stop after this long, for example 6h")
	f.Var(&h.maxFailures, "max-failures", "stop when more objects than this have failed")
	f.BoolVar(&h.retryFailed, "retry-failed", false, "take the objects of an existing job again that failed, or were left for what may have gone")
}

// defaultThreshold: from here on parts in parallel beat one CopyObject on AWS by a
// factor (published: 1 GiB in 64 MiB parts 3.6 s, in one 15.6 s), and a crash costs
// a part instead of the object. Below it the requests saved count for more.
const defaultThreshold = 256 << 20

const (
	minPart = 5 << 20
	maxPart = 5 << 30
)

// Validate gives the consent, over what the job remembers where a flag was not
// given, and the tempo.
func (h *howFlags) Validate(remembered *consent) (consent, tempo, error) {
	c := consent{Operation: h.operation.value, Inspect: h.inspect.value, Verify: h.verify.value, Guard: h.guard.value,
		Accept: h.accept.values, MultipartThreshold: h.threshold.bytes, PartSize: h.partSize.bytes}
	if !h.threshold.given {
		c.MultipartThreshold = defaultThreshold
	}
	if remembered != nil {
		c.keep(remembered, h.set.Changed)
	}
	t := tempo{Concurrency: h.concurrency.n, RequestsPerSec: h.requests, KMSPerSec: h.kms, BytesPerSec: h.bandwidth.bytes,
		StopAfter: h.stopAfter.Duration, MaxFailures: h.maxFailures, RetryFailed: h.retryFailed, RequestTimeout: h.requestTimeout.Duration}
	if h.partSize.given && (h.partSize.bytes < minPart || h.partSize.bytes > maxPart) {
		return c, t, unusablef("S3 takes parts from 5MiB to 5GiB", "--part-size %s", h.partSize.text)
	}
	if h.threshold.given && (h.threshold.bytes < 1 || h.threshold.bytes > maxPart) {
		return c, t, unusablef("give a size up to 5GiB", "--multipart-threshold %s", h.threshold.text)
	}
	for _, r := range []struct {
		flag  string
		value float64
	}{{"--max-requests-per-second", h.requests}, {"--max-kms-requests-per-second", h.kms}} {
		if err := checkRate(r.flag, r.value); err != nil {
			return c, t, err
		}
	}
	zone := time.Local
	var err error
	if h.zone != "" {
		if zone, err = time.LoadLocation(h.zone); err != nil {
			return c, t, unusablef("write it as Europe/Berlin or UTC", "--time-zone %q is unknown", h.zone)
		}
	}
	if t.Window, err = parseWindow(h.window, zone); err != nil {
		return c, t, unusableBecause(err, "--window", "write it as 22:00-06:00, or as Sat-Sun 00:00-24:00; several with commas between them")
	}
	if h.zone != "" && t.Window == nil {
		return c, t, unusable("--time-zone was given without --window, and has no meaning without it", "give --window 22:00-06:00 too, or leave it out")
	}
	return c, t, nil
}

// checkRate refuses what is no number of requests a second.
func checkRate(flag string, perSecond float64) error {
	if perSecond >= 0 && perSecond <= math.MaxFloat64 {
		return nil
	}
	return unusablef("it must be a number above 0, or 0 for none", "%s %v", flag, perSecond)
}

// keep takes from the job what the command line did not say.
func (c *consent) keep(job *consent, given func(flag string) bool) {
	for _, f := range []struct {
		flag     string
		here, in *string
	}{{"operation", &c.Operation, &job.Operation}, {"inspect", &c.Inspect, &job.Inspect},
		{"verify", &c.Verify, &job.Verify}, {"guard", &c.Guard, &job.Guard}} {
		if !given(f.flag) {
			*f.here = *f.in
		}
	}
	if !given("accept") {
		c.Accept = job.Accept
	}
	if !given("multipart-threshold") {
		c.MultipartThreshold = job.MultipartThreshold
	}
	if !given("part-size") {
		c.PartSize = job.PartSize
	}
}

// mayGoNow says whether --retry-failed takes an object again: it failed, or it was
// left for a reason that may have gone: it was restored, others have stopped
// writing it, its key or the loss is accepted now.
func (c *consent) mayGoNow(o *object.Outcome) bool {
	if o.State == object.Failed {
		return true
	}
	switch o.Reason {
	case object.ReasonArchived, object.ReasonChanging, object.ReasonMissingKey, object.ReasonForeign:
		return o.State == object.Left
	}
	return o.State == object.Left && o.Reason != "" && c.accepted(string(o.Reason))
}

// accepted says whether the operator accepted a loss or risk.
func (c *consent) accepted(name string) bool {
	for _, a := range c.Accept {
		if a == name {
			return true
		}
	}
	return false
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
