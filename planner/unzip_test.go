package planner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// TestUnzipStops: a few bytes that were read ahead unpack to megabytes, and whoever is told
// to stop does not go through all of them.
func TestUnzipStops(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(make([]byte, 8<<20))
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	text, err := Unzip(ctx, bufio.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1<<10)
	if n, err := text.Read(p); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	stop()
	if n, err := text.Read(p); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
