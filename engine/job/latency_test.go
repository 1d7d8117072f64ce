package job

import (
	"math"
	"testing"
	"time"
)

// TestLatencies: quantiles are within the width of a bucket, and each is told once.
func TestLatencies(t *testing.T) {
	var l latencies
	for i := range 100 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	median, slow := l.take()
	for what, v := range map[string][2]float64{"median": {median, 0.050}, "95 in 100": {slow, 0.095}} {
		if math.Abs(v[0]/v[1]-1) > 0.1 {
			t.Errorf("%s: %v, want about %v", what, v[0], v[1])
		}
	}
	if median, slow = l.take(); median != 0 || slow != 0 {
		t.Errorf("told twice: %v, %v", median, slow)
	}
	for _, d := range []time.Duration{-1, 0, time.Nanosecond, 1000 * time.Hour} {
		l.add(d)
	}
	if median, slow = l.take(); median <= 0 || slow <= 600 {
		t.Errorf("the ends: %v, %v", median, slow)
	}
}
