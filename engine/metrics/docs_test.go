package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v3"

	"github.com/resealhq/reseal/engine/object"
)

// families are all that a run shows.
func families(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	m := New(Options{Version: "v1", Pace: state, Job: func() Job { return Job{} }})
	m.Requested(&object.Call{}, object.Result{OK: true})
	m.Settled(&object.Outcome{State: object.Failed})
	m.Settled(&object.Outcome{State: object.Done})
	all, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range all {
		if strings.HasPrefix(f.GetName(), "reseal_") {
			out[f.GetName()] = f
		}
	}
	return out
}

var (
	metricName = regexp.MustCompile(`reseal_[a-z_]+`)
	selector   = regexp.MustCompile(`(reseal_[a-z_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
)

// checkExpression holds an expression against what a run shows: each metric is there,
// with the labels that it is selected by.
func checkExpression(t *testing.T, where, expr string, shown map[string]*dto.MetricFamily) (names []string) {
	t.Helper()
	of := func(name string) *dto.MetricFamily {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if f := shown[strings.TrimSuffix(name, suffix)]; strings.HasSuffix(name, suffix) && f.GetType() == dto.MetricType_HISTOGRAM {
				return f
			}
		}
		return shown[name]
	}
	for _, name := range metricName.FindAllString(expr, -1) {
		f := of(name)
		if f == nil {
			t.Errorf("%s: no run shows %s", where, name)
			continue
		}
		names = append(names, f.GetName())
	}
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		f := of(m[1])
		if f == nil {
			continue
		}
		labels := []string{"job", "instance"} // Prometheus's own
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, l[1]) {
				t.Errorf("%s: %s has no label %s", where, m[1], l[1])
			}
		}
	}
	return names
}

// TestDashboardAndAlerts: what they ask for is what a run shows.
func TestDashboardAndAlerts(t *testing.T) {
	shown := families(t)
	data, err := os.ReadFile("../../docs/metrics/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title  string
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil || len(board.Panels) < 8 {
		t.Fatalf("%d panels, %v", len(board.Panels), err)
	}
	for _, p := range board.Panels {
		n := 0
		for _, q := range p.Targets {
			n += len(checkExpression(t, "panel "+p.Title, q.Expr, shown))
		}
		if n == 0 {
			t.Errorf("the panel %s asks for nothing", p.Title)
		}
	}
	if data, err = os.ReadFile("../../docs/metrics/alerts.yaml"); err != nil {
		t.Fatal(err)
	}
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(data, &alerts); err != nil || len(alerts.Groups) != 1 || len(alerts.Groups[0].Rules) < 4 {
		t.Fatalf("%+v, %v", alerts, err)
	}
	for _, r := range alerts.Groups[0].Rules {
		if n := len(checkExpression(t, "alert "+r.Alert, r.Expr, shown)); n == 0 || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: %+v", r.Alert, r)
		}
		for _, m := range regexp.MustCompile(`result!~"([^"]*)"`).FindAllStringSubmatch(r.Expr, -1) {
			for word := range strings.SplitSeq(m[1], "|") {
				if word != "ok" && !isClass(word) {
					t.Errorf("%s: no request has the result %q", r.Alert, word)
				}
			}
		}
	}
}

func isClass(word string) bool {
	for c := range object.Class(object.NumClasses) {
		if c.String() == word {
			return true
		}
	}
	return false
}

// TestPageNamesEveryMetric: docs/metrics.md has each, with its labels, and none that is
// not there.
func TestPageNamesEveryMetric(t *testing.T) {
	shown := families(t)
	data, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`"); ok && strings.HasPrefix(line, "| `reseal_") {
			rows[name] = rest
			if shown[name] == nil {
				t.Errorf("docs/metrics.md: no run shows %s", name)
			}
		}
	}
	for name, f := range shown {
		row, ok := rows[name]
		if !ok {
			t.Errorf("docs/metrics.md has no row for %s: %s", name, f.GetHelp())
		}
		for _, l := range f.GetMetric()[0].GetLabel() {
			if ok && !strings.Contains(row, "`"+l.GetName()+"`") {
				t.Errorf("docs/metrics.md does not say that %s has the label %s", name, l.GetName())
			}
		}
	}
}
