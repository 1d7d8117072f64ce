package job

import (
	"testing"
	"time"
	"unsafe"
)

// asleep is an instant as a machine remembers it that has slept since: its clock went on, and its
// count of the time that passes did not.
func asleep(slept time.Duration) time.Time {
	at := time.Now()
	wall := (*uint64)(unsafe.Pointer(&at)) // seconds from the thirtieth bit on, beside a count
	*wall -= uint64(slept/time.Second) << 30
	return at
}

// TestLookoutAfterSleep: a machine that wakes copies nothing before somebody has looked.
func TestLookoutAfterSleep(t *testing.T) {
	if at := asleep(8 * time.Hour); time.Since(at) > time.Minute || time.Since(at.Round(0)).Round(time.Minute) != 8*time.Hour {
		t.Fatalf("instants are made in another way now, and asleep has to follow: %s, %s", time.Since(at), time.Since(at.Round(0)))
	}
	l := &lookout{}
	for slept, want := range map[time.Duration]bool{0: false, time.Minute: false, 8 * time.Hour: true, -8 * time.Hour: true} {
		if l.mu.tried = asleep(slept); l.stale() != want {
			t.Errorf("after %s of sleep stale is %v", slept, !want)
		}
	}
}
