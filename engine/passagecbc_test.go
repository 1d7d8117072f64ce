package engine

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
)

// TestFillInOrderEndsWithItsContext: an upload whose context ended between two parts is no
// whole one.
func TestFillInOrderEndsWithItsContext(t *testing.T) {
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	e, err := cse.Parse(map[string]string{"x-amz-key": b64(48), "x-amz-iv": b64(16)})
	if err != nil {
		t.Fatal(err)
	}
	key, err := cse.NewDataKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &passage{it: &item{run: &run{cfg: &Config{PartsInFlight: 2}}}, e: e, key: key, size: 32}
	if sent, err := p.fillInOrder(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes were sent, and that is all: %v", sent, err)
	}
}
