package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/wire"
)

// PaceConfig is how the pace is put to the test: against an embedded S3 over
// HTTP that takes so many requests a second (a token bucket) and answers
// SlowDown beyond, by workers that send as fast as the pace lets them.
type PaceConfig struct {
	// Rates to try, in requests a second.
	Rates []float64
	// Seconds at the rate; then half as many at half of it, and as many again at
	// the rate.
	Seconds int
	// Workers that send.
	Workers int
	// Copy sends CopyObject instead of HEAD. KMS limits the requests that use KMS to
	// a tenth of the rate, which takes copies.
	Copy, KMS bool
	// RetryAfter of the store's SlowDown, in seconds; 0 for none.
	RetryAfter int
}

func (c *PaceConfig) flags(f *flag.FlagSet) {
	c.Rates = []float64{100, 1000, 10000}
	f.Func("rates", "requests a second that the store takes (default 100,1000,10000)", func(s string) error {
		c.Rates = nil
		for _, part := range strings.Split(s, ",") {
			r, err := strconv.ParseFloat(part, 64)
			if err != nil || r <= 0 {
				return fmt.Errorf("%q is no rate", part)
			}
			c.Rates = append(c.Rates, r)
		}
		return nil
	})
	f.IntVar(&c.Seconds, "seconds", 60, "how long the rate holds before it halves")
	f.IntVar(&c.Workers, "workers", pace.Limits{}.Workers(), "how many send")
	f.BoolVar(&c.Copy, "copy", false, "send CopyObject instead of HEAD")
	f.BoolVar(&c.KMS, "kms", false, "limit KMS to a tenth of the rate, and send copies to a KMS key")
	f.IntVar(&c.RetryAfter, "retry-after", 0, "seconds that the store asks to wait")
}

const paceKMSKey = "alias/pace"

// RunPace measures every rate and draws what the store took, second by second.
func RunPace(ctx context.Context, c PaceConfig, log io.Writer) (*Table, error) {
	t := &Table{Workload: "pace", What: fmt.Sprintf("rate found against a store that limits it; %d workers; of the seconds from 30 on, after the limit halved (from 5 s on) and doubled (from 20 s on)", c.Workers),
		Columns: []Column{{Name: "of the limit", Format: "%.3f"}, {Name: "throttled %", Format: "%.2f"},
			{Name: "of half", Format: "%.3f"}, {Name: "throttled % ", Format: "%.2f"}, {Name: "of the double", Format: "%.3f"}, {Name: "throttled %  ", Format: "%.2f"}}}
	for _, rate := range c.Rates {
		name := fmt.Sprintf("%.0f/s", rate)
		limit := rate
		if c.KMS {
			limit = rate / 10
			name += fmt.Sprintf(", KMS %.0f/s", limit)
		}
		seconds, err := c.measure(ctx, rate, log)
		if err != nil {
			return t, err
		}
		draw(log, name, seconds, limit*1.6)
		f := Figures{}
		n := c.Seconds
		for i, span := range []struct {
			from, to int
			limit    float64
		}{{min(30, n/2), n, limit}, {n + 5, n + n/2, limit / 2}, {n + n/2 + 20, 2*n + n/2, limit}} {
			ok, no := sum(seconds, span.from, span.to)
			f[t.Columns[2*i].Name] = float64(ok) / float64(span.to-span.from) / span.limit
			f[t.Columns[2*i+1].Name] = 100 * float64(no) / float64(max(1, ok+no))
		}
		t.add(name, "", 0, f)
	}
	return t, nil
}

// second is what came back within one.
type second struct{ ok, no int }

func sum(s []second, from, to int) (ok, no int) {
	for i := from; i < to && i < len(s); i++ {
		ok += s[i].ok
		no += s[i].no
	}
	return ok, no
}

func (c *PaceConfig) measure(ctx context.Context, rate float64, log io.Writer) ([]second, error) {
	limits := func(factor float64) s3test.Limits {
		l := s3test.Limits{Requests: rate * factor, RetryAfter: c.RetryAfter}
		if c.KMS {
			l.Requests, l.KMS = rate, rate/10*factor
		}
		return l
	}
	srv, err := s3test.Start(s3test.Config{NoLog: true, NoAuth: true})
	if err != nil {
		return nil, err
	}
	defer srv.Close()
	srv.CreateBucket("pace", s3test.BucketConfig{})
	srv.Put("pace", s3test.Object{Key: "a/key", Body: s3test.Bytes("x")})
	srv.KMS.CreateKey(paceKMSKey)
	send, err := c.sender(ctx, srv)
	if err != nil {
		return nil, err
	}
	n := time.Duration(c.Seconds) * time.Second
	total := 2*n + n/2
	srv.SetLimits(limits(1))
	defer time.AfterFunc(n, func() { srv.SetLimits(limits(0.5)) }).Stop()
	defer time.AfterFunc(n+n/2, func() { srv.SetLimits(limits(1)) }).Stop()
	ctx, cancel := context.WithTimeout(ctx, total)
	defer cancel()
	return c.load(ctx, int(total/time.Second), send, log)
}

// load lets all workers send until the context ends.
func (c *PaceConfig) load(ctx context.Context, n int, send func(context.Context) error, log io.Writer) ([]second, error) {
	p := pace.New(pace.Limits{})
	call := &object.Call{Kind: object.ReqHead, Key: "a/key"}
	if c.Copy || c.KMS {
		call.Kind = object.ReqCopy
	}
	if c.KMS {
		call.KMSKey = paceKMSKey
	}
	began := time.Now()
	var mu sync.Mutex
	seconds := make([]second, n)
	var failed error
	var wg sync.WaitGroup
	for range c.Workers {
		wg.Go(func() {
			for attempt := 1; ctx.Err() == nil; {
				if p.Enter(ctx, call) != nil {
					return
				}
				start := time.Now()
				err := send(ctx)
				r := object.Result{OK: err == nil, Class: object.ClassOf(err), Latency: time.Since(start)}
				var e *object.Error
				if errors.As(err, &e) {
					r.RetryAfter = e.RetryAfter
				}
				p.Leave(call, r)
				throttled := r.Class == object.ClassThrottled || r.Class == object.ClassKMSThrottled
				mu.Lock()
				if at := int(time.Since(began) / time.Second); at < n {
					switch {
					case r.OK:
						seconds[at].ok++
					case throttled:
						seconds[at].no++
					case ctx.Err() == nil:
						failed = err
					}
				}
				mu.Unlock()
				if r.OK {
					attempt = 1
					continue
				}
				select {
				case <-time.After(pace.Backoff(attempt, r.RetryAfter, nil)):
				case <-ctx.Done():
				}
				attempt++
			}
		})
	}
	wg.Wait()
	for _, l := range p.State().Controllers {
		fmt.Fprintf(log, "%s %q: %.0f requests/s allowed, %d replies throttled\n", l.Reason, l.Name, l.Limit, l.Throttled)
	}
	return seconds, failed
}

func (c *PaceConfig) sender(ctx context.Context, srv *s3test.Server) (func(context.Context) error, error) {
	store, err := s3store.Open(ctx, s3store.Options{EndpointURL: srv.URL(), Region: "us-east-1", PathStyle: object.On})
	if err != nil {
		return nil, err
	}
	client, err := wire.New(wire.Options{
		Resolve: func(ctx context.Context, bucket string) (wire.Address, error) {
			a, err := store.Address(ctx, bucket)
			return wire.Address(a), err
		},
		Credentials: func(context.Context) (wire.Credentials, error) {
			return wire.Credentials{AccessKeyID: s3test.DefaultCredentials.AccessKeyID, SecretAccessKey: s3test.DefaultCredentials.SecretAccessKey}, nil
		},
		Classify: store.Failure,
	})
	if err != nil {
		return nil, err
	}
	ref := object.Ref{Bucket: "pace", Key: "a/key"}
	target := &object.Target{SSE: object.SSES3}
	if c.KMS {
		target = &object.Target{SSE: object.SSEKMS, KMSKeyID: paceKMSKey}
	}
	return func(ctx context.Context) error {
		if !c.Copy && !c.KMS {
			_, err := client.Head(ctx, ref, object.CustomerKey{})
			return err
		}
		_, err := client.Copy(ctx, &object.CopyRequest{Source: ref, Dest: ref, Target: target})
		return err
	}, nil
}

// draw prints what was taken (*) and refused (x) a second.
func draw(w io.Writer, title string, seconds []second, top float64) {
	const height = 12
	fmt.Fprintf(w, "%s: taken (*) and refused (x) a second\n", title)
	row := func(v int) int { return min(height, int(float64(v)/top*height+0.5)) }
	for y := height; y >= 0; y-- {
		line := slices.Repeat([]byte{' '}, len(seconds))
		for i, s := range seconds {
			if s.no > 0 && row(s.no) == y {
				line[i] = 'x'
			}
			if row(s.ok) == y {
				line[i] = '*'
			}
		}
		label := ""
		if y%4 == 0 {
			label = fmt.Sprintf("%.0f", top*float64(y)/height)
		}
		fmt.Fprintf(w, "%8s |%s\n", label, strings.TrimRight(string(line), " "))
	}
	fmt.Fprintf(w, "%8s +%s\n", "", strings.Repeat("-", len(seconds)))
}
