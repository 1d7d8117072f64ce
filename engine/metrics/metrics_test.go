package metrics

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
)

var _ engine.Observer = (*Metrics)(nil)

func state() pace.State {
	return pace.State{Rate: 95.5, Allowed: 100, Why: pace.KMSThrottling, InFlight: 7, Waiting: 3, Concurrency: 16, Found: true,
		Controllers: []pace.Controller{{Reason: pace.S3Throttling, Throttled: 2}, {Reason: pace.KMSThrottling, Name: "key-1", Limit: 100, Rate: 90, Throttled: 5}}}
}

func TestFigures(t *testing.T) {
	m := New(Options{Version: "v1", Pace: state, Job: func() Job { return Job{Planned: 10, Remaining: 4, PlanComplete: true} }})
	copying := &object.Call{Kind: object.ReqCopy, Bytes: 100}
	m.Requested(copying, object.Result{OK: true, Latency: 3 * time.Millisecond})
	m.Requested(copying, object.Result{OK: true, Latency: 30 * time.Millisecond})
	m.Requested(copying, object.Result{Class: object.ClassKMSThrottled})
	m.Requested(&object.Call{Kind: object.ReqHead}, object.Result{Class: object.ClassGone})
	m.Settled(&object.Outcome{State: object.Done, Operation: object.OpCopy, Size: 100, Attempts: 2})
	m.Settled(&object.Outcome{State: object.Done, Operation: object.OpUpdate, Size: 50, Attempts: 1})
	m.Settled(&object.Outcome{State: object.Already, Size: 1000})
	m.Settled(&object.Outcome{State: object.Left, Reason: object.ReasonArchived})
	m.Settled(&object.Outcome{State: object.Failed, Reason: "denied", Attempts: 1})
	m.Committed(4 * time.Millisecond)
	text := scrape(t, m)
	for _, line := range []string{
		`reseal_build_info{version="v1"} 1`,
		`reseal_requests_total{operation="copy",result="ok"} 2`,
		`reseal_requests_total{operation="copy",result="kms-throttled"} 1`,
		`reseal_requests_total{operation="head",result="gone"} 1`,
		`reseal_copied_bytes_total 200`,
		`reseal_request_duration_seconds_count{operation="copy"} 3`,
		`reseal_request_duration_seconds_bucket{operation="copy",le="0.004"} 2`,
		`reseal_objects_total{state="done"} 2`,
		`reseal_objects_total{state="already"} 1`,
		`reseal_objects_total{state="left"} 1`,
		`reseal_objects_total{state="failed"} 1`,
		`reseal_operations_total{operation="update"} 1`,
		`reseal_not_done_total{reason="archived",state="left"} 1`,
		`reseal_not_done_total{reason="denied",state="failed"} 1`,
		`reseal_object_bytes_total 150`,
		`reseal_object_attempts_total 4`,
		`reseal_checkpoint_commit_duration_seconds_count 1`,
		`reseal_objects_planned 10`,
		`reseal_objects_remaining 4`,
		`reseal_plan_complete 1`,
		`reseal_requests_in_flight 7`,
		`reseal_requests_waiting 3`,
		`reseal_concurrency_limit 16`,
		`reseal_request_rate 95.5`,
		`reseal_request_rate_limit{reason="kms-throttling"} 100`,
		`reseal_throttle_limit{reason="s3-throttling",scope=""} +Inf`,
		`reseal_throttle_limit{reason="kms-throttling",scope="key-1"} 100`,
		`reseal_throttled_replies_total{reason="kms-throttling",scope="key-1"} 5`,
		`go_goroutines `,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing", line)
		}
	}
	if strings.Contains(text, `result="throttled"`) {
		t.Error("a result that never came is shown")
	}
}

// TestNames: what promtool would say.
func TestNames(t *testing.T) {
	m := New(Options{Version: "v1", Pace: state, Job: func() Job { return Job{} }})
	m.Requested(&object.Call{}, object.Result{OK: true})
	m.Settled(&object.Outcome{State: object.Failed})
	m.Settled(&object.Outcome{State: object.Done})
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	s, err := Listen(":0", m)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !strings.HasPrefix(s.Addr(), "127.0.0.1:") {
		t.Errorf("listens at %s", s.Addr())
	}
	resp, err := http.Get("http://" + s.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return string(body)
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{":9090": "127.0.0.1:9090", "0.0.0.0:9090": "0.0.0.0:9090", "localhost:1": "localhost:1", "[::]:80": "[::]:80"} {
		if got, err := Address(in); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"9090", "", "a:b:c"} {
		if got, err := Address(in); err == nil {
			t.Errorf("%q: %s", in, got)
		}
	}
	s, err := Listen("127.0.0.1:0", New(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Listen(s.Addr(), New(Options{})); err == nil {
		t.Error("two listen at one address")
	}
}

func TestManyAtOnce(t *testing.T) {
	m := New(Options{})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 500 {
				m.Requested(&object.Call{Kind: object.RequestKind(i % object.NumRequestKinds)}, object.Result{Class: object.Class(i % object.NumClasses), OK: g%2 == 0})
				m.Settled(&object.Outcome{State: object.State(1 + i%4)})
			}
		})
	}
	wg.Wait()
	if n := value(t, m.objects[object.Done]); n != 16*125 {
		t.Errorf("%v done, want %d", n, 16*125)
	}
	total := 0.0
	for k := range m.byResult {
		for r := range m.byResult[k] {
			if c := m.byResult[k][r].Load(); c != nil {
				total += value(t, *c)
			}
		}
	}
	if total != 8000 {
		t.Errorf("%v requests, want 8000", total)
	}
}

func BenchmarkRequested(b *testing.B) {
	for _, g := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", g), func(b *testing.B) {
			m := New(Options{})
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range g {
				wg.Go(func() {
					c := &object.Call{Kind: object.ReqCopy, Bytes: 1000}
					for range b.N / g {
						m.Requested(c, object.Result{OK: true, Latency: 5 * time.Millisecond})
					}
				})
			}
			wg.Wait()
		})
	}
}

func value(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var out dto.Metric
	if err := c.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue()
}
