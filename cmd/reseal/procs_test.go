package main

import (
	"slices"
	"testing"
)

func TestProcs(t *testing.T) {
	t.Parallel()
	quiet := slices.Repeat([]float64{0.1}, procsCalm)
	light := slices.Repeat([]float64{1.2}, procsCalm)
	for _, c := range []struct {
		name string
		most int
		busy []float64
		want int
	}{
		{"a run that waits stays on one", 8, []float64{0.3, 0.9, 0.94}, 1},
		{"a single busy look gives nothing", 8, []float64{0.99, 0.3, 0.99}, 1},
		{"one more for each busy second", 8, []float64{0.99, 0.99, 1.95, 1.99, 2.9, 2.9}, 4},
		{"never more than there are", 2, []float64{0.99, 0.99, 1.99, 2, 2, 2}, 2},
		{"a single idle look takes nothing away", 8, []float64{0.99, 0.99, 1.95, 1.99, 0.1}, 3},
		{"a calm while takes one away", 8, slices.Concat([]float64{0.99, 0.99, 1.95, 1.99}, quiet), 2},
		{"so does work that one less may do", 2, slices.Concat([]float64{0.99, 0.99}, light), 1},
		{"unless it was tried a moment ago in vain", 2, slices.Concat([]float64{0.99, 0.99}, light, []float64{0.99, 0.99}, light), 2},
		{"which is tried again later", 2, slices.Concat([]float64{0.99, 0.99}, light, []float64{0.99, 0.99}, light, light), 1},
		{"and a calm while waits for no try", 2, slices.Concat([]float64{0.99, 0.99}, light, []float64{0.99, 0.99}, quiet), 1},
		{"calm begins anew after work", 8, slices.Concat([]float64{0.99, 0.99, 1.95, 1.99}, quiet[1:], []float64{2.8, 0.1}), 3},
		{"down to one, not further", 2, slices.Concat([]float64{0.99, 0.99}, quiet, quiet), 1},
	} {
		p, got := newProcs(c.most), 0
		for _, b := range c.busy {
			got = p.next(b)
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
