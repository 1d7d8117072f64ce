package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealServerOtherWriters lets another client overwrite objects 1,000 times
// while the job runs over and over. Under --guard strict no write may be lost;
// what --guard auto loses on MinIO, which ignores If-Match on CopyObject, is
// counted and told.
func TestRealServerOtherWriters(t *testing.T) {
	server := realserver.StartMinIO(t, realserver.Options{})
	for _, guard := range []string{"strict", "auto"} {
		t.Run(guard, func(t *testing.T) {
			b := newBed(t, server, "writers-"+guard)
			const keys, overwrites, writers, rounds = 100, 1000, 4, 3
			for i := range keys {
				b.overwrite(writerKey(i), "the first")
			}
			w := &otherWriters{bed: b, keys: keys, last: make([]string, keys)}
			for i := range w.last {
				w.last[i] = "the first"
			}
			var writing sync.WaitGroup
			for n := range writers {
				writing.Go(func() { w.write(n, writers) })
			}
			runs, done := w.run(guard, rounds, overwrites)
			w.enough.Store(true)
			writing.Wait()
			lost := w.lost()
			t.Logf("--guard %s: %d overwrites while %d runs changed %d objects; %d writes lost", guard, w.n.Load(), runs, done, len(lost))
			if done < 2*keys {
				t.Errorf("%d runs changed %d objects only", runs, done)
			}
			if guard == "strict" && len(lost) > 0 {
				t.Errorf("lost: %v", lost)
			}
			b.nothingElse(w.names())
		})
	}
}

func writerKey(i int) string { return fmt.Sprintf("shared/%03d", i) }

func (b *bed) overwrite(key, body string) {
	if _, err := b.client.PutObject(b.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader(body)}); err != nil {
		b.Error(err)
	}
}

// otherWriters write plain objects over the job's. Each key has one writer, so
// that its last write is known.
type otherWriters struct {
	*bed
	keys int
	last []string
	n    atomic.Int64
	// enough ends the writing.
	enough atomic.Bool
}

func (w *otherWriters) write(me, writers int) {
	r := rand.New(rand.NewPCG(uint64(me), 7))
	for n := 0; !w.enough.Load(); n++ {
		i := r.IntN(w.keys/writers)*writers + me
		body := fmt.Sprintf("write %d of writer %d %s", n, me, bytes.Repeat([]byte{'x'}, r.IntN(2000)))
		w.overwrite(writerKey(i), body)
		w.last[i] = body
		w.n.Add(1)
	}
}

// run runs new jobs over the bucket, as often as asked and until there were so
// many overwrites.
func (w *otherWriters) run(guard string, rounds int, overwrites int64) (runs, done int) {
	dir := w.TempDir()
	for runs < rounds || w.n.Load() < overwrites {
		job := filepath.Join(dir, fmt.Sprint(runs))
		cmd := w.command("run", "s3://"+w.bucket, "--sse", "AES256", "--guard", guard, "--json", "--job", job)
		out, err := cmd.Output()
		if code := cmd.ProcessState.ExitCode(); code != 0 && code != 3 {
			w.Fatalf("run %d: exit code %d, %v", runs, code, err)
		}
		runs, done = runs+1, done+w.parse(out).Done
	}
	return runs, done
}

// lost are the objects that do not hold what was written to them last.
func (w *otherWriters) lost() (keys []string) {
	for i, want := range w.last {
		got, err := w.client.GetObject(w.Context(), &s3.GetObjectInput{Bucket: &w.bucket, Key: aws.String(writerKey(i))})
		if err != nil {
			w.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil {
			w.Fatal(err)
		}
		if string(body) != want {
			keys = append(keys, writerKey(i))
		}
	}
	return keys
}

func (w *otherWriters) names() (keys []string) {
	for i := range w.keys {
		keys = append(keys, writerKey(i))
	}
	return keys
}
