package job

import (
	"io"
	"log/slog"
	"testing"
)

// TestW11ThePaceOfAKeyStore: a key store of one's own is the ceiling of KMS requests
// where nobody has named another.
func TestW11ThePaceOfAKeyStore(t *testing.T) {
	for _, tc := range []struct {
		rate        int
		given, want float64
	}{{0, 0, 0}, {1800, 0, 1620}, {1800, 100, 100}, {1800, 5000, 5000}, {0, 100, 100}} {
		s := &session{opt: &Options{Limits: Limits{KMSRequestsPerSecond: tc.given}}, log: slog.New(slog.NewTextHandler(io.Discard, nil)), learnt: learnt{KeyStoreRate: tc.rate}}
		s.holdBelowKeyStore()
		if got := s.opt.pace().KMSRequestsPerSecond; got != tc.want {
			t.Errorf("a store of %d, %v given: %v, want %v", tc.rate, tc.given, got, tc.want)
		}
	}
}
