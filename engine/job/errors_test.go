package job

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine"
)

// TestAnEndInDoubtSaysSo: of a run that could not finish what was in flight nobody says that it
// was finished, and it ends with the exit code that it ends with otherwise.
func TestAnEndInDoubtSaysSo(t *testing.T) {
	doubt := &engine.DoubtError{Err: engine.ErrDrained, Objects: 3, Silent: true}
	for _, cause := range []error{ErrInterrupted, ErrStopAfter} {
		err := inDoubt(cause, doubt)
		text := err.Error()
		if !errors.Is(err, cause) || causeClass(err) != causeClass(cause) || strings.Contains(text, "was finished") || !strings.Contains(text, "3 objects") {
			t.Errorf("%v: %s", causeClass(err), text)
		}
		if inDoubt(cause, engine.ErrDrained) != cause {
			t.Error("there was no doubt")
		}
	}
}

// TestAnEndAtOnceIsToldInWords: it is the end of the context, whose own words are none for people.
func TestAnEndAtOnceIsToldInWords(t *testing.T) {
	if text := ErrGivenUp.Error(); !errors.Is(ErrGivenUp, context.Canceled) || causeClass(ErrGivenUp) != CauseInterrupted || strings.Contains(text, "context") {
		t.Error(text)
	}
}
