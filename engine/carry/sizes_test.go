package carry

import (
	"slices"
	"testing"
)

func TestCopyable(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		sizes []int64
		size  int64
		want  bool
	}{
		{[]int64{5 * mib, 5 * mib, 1}, 10*mib + 1, true},
		{[]int64{7}, 7, true},
		{nil, 7, false},
		{[]int64{5 * mib, 5 * mib}, 10*mib + 1, false},
		{[]int64{4 * mib, 5 * mib}, 9 * mib, false},
		{[]int64{MaxPartSize + 1}, MaxPartSize + 1, false},
	} {
		if got := Copyable(test.sizes, test.size); got != test.want {
			t.Errorf("Copyable(%v, %d) = %v", test.sizes, test.size, got)
		}
	}
}

func TestSplit(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		size, part int64
		want       []int64
	}{
		{0, 5 * mib, []int64{0}},
		{1, 5 * mib, []int64{1}},
		{10 * mib, 5 * mib, []int64{5 * mib, 5 * mib}},
		{10*mib + 1, 5 * mib, []int64{5 * mib, 5 * mib, 1}},
	} {
		if got := Split(test.size, test.part); !slices.Equal(got, test.want) {
			t.Errorf("Split(%d, %d) = %v", test.size, test.part, got)
		}
	}
	for _, size := range []int64{100_000 * mib, 5 << 40} { // more than 10,000 parts of that size
		if got := Split(size, 5*mib); len(got) > MaxParts || !Copyable(got, size) {
			t.Errorf("%d bytes in %d parts", size, len(got))
		}
	}
}
