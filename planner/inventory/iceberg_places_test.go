package inventory

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// endless is a storage one of whose files has no end.
type endless struct {
	*iceTable
	of   string
	read int
}

func (e *endless) Open(ctx context.Context, uri string) (io.ReadCloser, int64, error) {
	r, n, err := e.iceTable.Open(ctx, uri)
	if uri == e.of {
		return io.NopCloser(io.MultiReader(r, endlessZeros{e})), -1, nil
	}
	return r, n, err
}

type endlessZeros struct{ e *endless }

func (z endlessZeros) Read(p []byte) (int, error) {
	if z.e.read += len(p); z.e.read > 16<<20 {
		return 0, io.ErrNoProgress
	}
	clear(p)
	return len(p), nil
}

// TestIcebergLongerFile: a file that is longer than its table says is not fetched to its end.
func TestIcebergLongerFile(t *testing.T) {
	for _, of := range []string{"d1.parquet", "p2.parquet"} {
		x := &endless{iceTable: newIceTable(t, false), of: "s3://tables/" + of}
		x.append(rand.New(rand.NewPCG(1, 2)), []string{"a", "b", "c"})
		x.positions(rand.New(rand.NewPCG(1, 2)), true)
		s, err := OpenIceberg(t.Context(), x, "s3://tables/metadata.json", x.metadata(nil), 0, Options{TempDir: t.TempDir()})
		if err == nil {
			err = s.Read(t.Context(), nil, func(object.Page) error { return nil })
		}
		if err == nil || !strings.Contains(err.Error(), "more bytes, and the table says") || x.read > 4<<20 {
			t.Errorf("%s: %d bytes of zeros were read: %v", of, x.read, err)
		}
	}
}

// TestIcebergSchemes: tables of Hadoop name buckets by s3a and s3n, and the disk by file with
// one slash or three.
func TestIcebergSchemes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("local"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := newIceTable(t, false)
	x.files["s3://b/k%20 é"] = []byte("remote")
	local := filepath.ToSlash(dir)
	for _, c := range []struct {
		uri    string
		remote bool
		want   string
	}{{"s3://b/k%20 é", true, "remote"}, {"s3a://b/k%20 é", true, "remote"}, {"s3n://b/k%20 é", false, "remote"}, {"hdfs://b/k", true, "lies in no bucket"}, {"hdfs://b/k", false, "neither in a bucket nor on this disk"},
		{"file:" + local + "/f", false, "local"}, {"file://" + local + "/f", false, "local"}, {local + "/f", false, "local"}, {"file:" + local + "/f", true, "lies in no bucket"}} {
		got := ""
		r, _, err := tableFiles{Where{S3: x}, c.remote}.Open(t.Context(), c.uri)
		if err == nil {
			text, _ := io.ReadAll(r)
			got = string(text)
			r.Close()
		} else {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.uri, got, c.want)
		}
	}
}
