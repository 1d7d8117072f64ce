package ledger

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestARenewalOfLongAgo: whoever looks seldom learns of a renewal when its holder may be
// dead; that tells nothing of whether he lives.
func TestARenewalOfLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		l, err := Acquire(t.Context(), b.place(), "lease", Terms{TTL: 3 * time.Second})
		must(t, err)
		var w Watch
		look := func(want Life) {
			t.Helper()
			if _, life, err := w.Look(t.Context(), b.place(), "lease"); err != nil || life != want {
				t.Errorf("it is %d, %v; want %d", life, err, want)
			}
		}
		look(Unknown)
		time.Sleep(4 * time.Second) // two renewals
		killed(l)
		time.Sleep(10 * time.Second)
		look(Unknown) // another renewal than before, and 14 s old perhaps
		if !w.Lived(b.place(), "lease").Before(time.Now().Add(-10 * time.Second)) {
			t.Error("it is said to have lived")
		}
		time.Sleep(4 * time.Second)
		look(Gone)
	})
}
