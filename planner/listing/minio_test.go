package listing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// anyway has ranges read although the store says what they cost it.
type anyway struct{ Lister }

func (a anyway) ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	reply, err := a.Lister.ListPage(ctx, q)
	reply.OneWalk = false
	return reply, err
}

func (a anyway) ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	reply, err := a.Lister.ListVersionsPage(ctx, q)
	reply.OneWalk = false
	return reply, err
}

// On a real server, with small pages, so that hundreds of borders lie between
// real keys: everything is listed once, current objects and versions, with and
// without metadata, below prefixes too. By itself it is one range.
func TestMinIO(t *testing.T) {
	if testing.Short() {
		t.Skip("what a real server answers needs no race detector")
	}
	srv, store := openMinIO(t)
	c, bucket := srv.Client(), "listing"
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	on := types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &bucket, VersioningConfiguration: &on}); err != nil {
		t.Fatal(err)
	}
	keys := minioKeys()
	versions := map[string]int{}
	r := rand.New(rand.NewPCG(1, 10))
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(8)
	for _, k := range keys {
		n := 1
		if r.IntN(10) == 0 && !strings.HasSuffix(k, "/") { // folder objects have no versions there
			n = 1 + r.IntN(30)
		}
		versions[k] = n
		g.Go(func() error {
			for range n {
				if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &k, Body: strings.NewReader("x")}); err != nil {
					return fmt.Errorf("%q: %w", k, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "d", "dir/", "dir/sub", "nothing here/"} {
		for _, how := range []struct{ all, ranges bool }{{false, true}, {true, true}, {false, false}, {true, false}} {
			all := how.all
			lister := Lister(store)
			if how.ranges {
				lister = anyway{store}
			}
			src := &Source{Lister: lister, Bucket: bucket, Prefix: prefix, Versions: all, Metadata: prefix != "d", Readers: 12, PageSize: 9}
			got := map[string]int{}
			sink := newSink()
			err := src.Read(t.Context(), nil, func(p object.Page) error {
				err := sink.emit(p)
				sink.mu.Lock()
				defer sink.mu.Unlock()
				for i := range p.Objects {
					got[p.Objects[i].Key]++
				}
				return err
			})
			if err != nil {
				t.Fatalf("prefix %q, versions %v: %v", prefix, all, err)
			}
			want := 0
			for k, n := range versions {
				if !strings.HasPrefix(k, prefix) {
					continue
				}
				want++
				if !all {
					n = 1
				}
				if got[k] != n {
					t.Errorf("prefix %q, versions %v: %q came %d times, want %d", prefix, all, k, got[k], n)
				}
			}
			if len(got) != want {
				t.Errorf("prefix %q, versions %v: %d keys, want %d", prefix, all, len(got), want)
			}
			for id, n := range sink.rows {
				if n != 1 {
					t.Errorf("prefix %q, versions %v: %q came %d times", prefix, all, id, n)
				}
			}
			if n := len(sink.cursors); prefix == "" && (how.ranges && n < 10 || !how.ranges && n != 1) {
				t.Errorf("versions %v: %d ranges", all, n)
			}
		}
	}
}

func openMinIO(t testing.TB) (*realserver.Server, *s3store.Store) {
	srv := realserver.StartMinIO(t, realserver.Options{})
	for _, kv := range srv.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	store, err := s3store.Open(t.Context(), s3store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return srv, store
}

// BenchmarkMinIO is a listing of 100,000 keys in 100 folders of a real server, in
// ranges and in the one that it is read in.
func BenchmarkMinIO(b *testing.B) {
	const n = 100_000
	srv, store := openMinIO(b)
	c, bucket := srv.Client(), "listing"
	if _, err := c.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		b.Fatal(err)
	}
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(16)
	for i := range n {
		key := fmt.Sprintf("%03d/%06d", i%100, i)
		g.Go(func() error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	for _, how := range []struct {
		name   string
		lister Lister
	}{{"ranges", anyway{store}}, {"one range", store}} {
		b.Run(how.name, func(b *testing.B) {
			for b.Loop() {
				var keys atomic.Int64
				src := &Source{Lister: how.lister, Bucket: bucket, Metadata: true}
				err := src.Read(b.Context(), nil, func(p object.Page) error {
					keys.Add(int64(len(p.Objects)))
					return nil
				})
				if err != nil || keys.Load() != n {
					b.Fatalf("%d keys, %v", keys.Load(), err)
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

// minioKeys are in many shapes, side by side: what a directory walk would put in
// another order is among them.
func minioKeys() []string {
	var keys []string
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("dir/sub%02d/é-%03d", i%7, i), fmt.Sprintf("dir/sub%02d-%d", i%7, i), fmt.Sprintf("dir/sub%02d.%d", i%7, i),
			fmt.Sprintf("dir-%d/x", i), fmt.Sprintf("dir.%d", i), fmt.Sprintf("%d", i*i*i), fmt.Sprintf("d%c", 'A'+rune(i)))
	}
	for _, k := range []string{"a b", "a+b", "a%b", "a%2Fb", "e\u0301", "é", "日本/語", "\U0001F600", "q\"uote", "<&>", "t/", "t/x", strings.Repeat("k/", 100) + "deep", "z~"} {
		keys = append(keys, k, "odd/"+k)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
