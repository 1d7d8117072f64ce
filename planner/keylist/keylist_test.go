package keylist

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

var _ planner.Source = (*Source)(nil)

func part(name, text string) Part {
	return Part{Name: name, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func refs(t testing.TB, kind Kind, opt Options, parts ...Part) (out []string, err error) {
	t.Helper()
	s, err := New(t.Context(), kind, parts, opt)
	if err != nil {
		return nil, err
	}
	err = s.Read(t.Context(), nil, func(p object.Page) error {
		for _, o := range p.Objects {
			if o.Size != -1 || o.Settled {
				t.Errorf("%+v tells more than its line", o)
			}
			out = append(out, o.Ref.String())
		}
		return nil
	})
	return out, err
}

func TestLists(t *testing.T) {
	for _, tc := range []struct {
		name string
		kind Kind
		opt  Options
		text string
		want string
	}{
		{"rows", Rows, Options{}, "b,a\nb,x%20y\nb,x+y%2Bz\n", "[s3://b/a s3://b/x y s3://b/x y+z]"},
		{"quoted rows", Rows, Options{Bucket: "b"}, "\"b\",\"a\",\"v1\"\r\n\"b\",\"c%2Cd\",\"\"\r\n", "[s3://b/a?versionId=v1 s3://b/c,d]"},
		{"a header", Rows, Options{}, "Bucket,Key,VersionId\nb,k,v\n", "[s3://b/k?versionId=v]"},
		// W10: as Athena writes it.
		{"a header in lower case", Rows, Options{}, "\"bucket\",\"key\"\n\"b\",\"k\"\n", "[s3://b/k]"},
		{"a header in capitals", Rows, Options{}, "BUCKET,KEY,VERSION_ID\nb,k,v\n", "[s3://b/k?versionId=v]"},
		{"a header behind a byte order mark", Rows, Options{}, "\ufeff\"bucket\",\"key\"\nb,k\n", "[s3://b/k]"},
		{"a bucket called bucket", Rows, Options{}, "bucket,key\nbucket,a\n", "[s3://bucket/key s3://bucket/a]"},
		{"a bucket called bucket, alone", Rows, Options{}, "bucket,key\n", "[s3://bucket/key]"},
		{"no line end", Rows, Options{}, "b,a", "[s3://b/a]"},
		{"keys", Keys, Options{Bucket: "b"}, "a\nx y\nx%20y\n\nline,ñ \n/lead", "[s3://b/a s3://b/x y s3://b/x%20y s3://b/line,ñ  s3://b//lead]"},
		{"keys from Windows", Keys, Options{Bucket: "b"}, "a\r\nb\r\n", "[s3://b/a s3://b/b]"},
		{"keys that end in a carriage return", Keys, Options{Bucket: "b"}, "a\nb\r\n", "[s3://b/a s3://b/b\r]"},
		{"keys between NULs", Keys, Options{Bucket: "b"}, "a\nb\x00c\r\x00", "[s3://b/a\nb s3://b/c\r]"},
		{"no keys", Keys, Options{Bucket: "b"}, "\n\n", "[]"},
		{"keys behind a byte order mark", Keys, Options{Bucket: "b"}, "\ufeffa\r\nb\r\n", "[s3://b/a s3://b/b]"},
		{"rows behind a byte order mark", Rows, Options{}, "\ufeffb,a\n", "[s3://b/a]"},
		// As S3 writes it: TaskStatus, HTTPStatusCode, ErrorCode.
		{"results", Results, Options{}, "b,ok,,succeeded,200,,Successful\nb,k+1,v,failed,403,AccessDenied,Forbidden\nb,k2,,failed,200,PermanentFailure,\"Lambda, \"\"said\"\" no\"\n",
			"[s3://b/k 1?versionId=v s3://b/k2]"},
		{"results as they are declared", Results, Options{}, "b,k,,failed,AccessDenied,403,x\n", "[s3://b/k]"},
		{"results without failures", Results, Options{}, "b,k,,succeeded,200,,x\n", "[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for form, text := range map[string]string{"as it is": tc.text, "gzip": zipped(t, tc.text)} {
				got, err := refs(t, tc.kind, tc.opt, part("list", text))
				if err != nil || fmt.Sprint(got) != tc.want {
					t.Errorf("%s: %q, %v\nwant %q", form, got, err, tc.want)
				}
			}
		})
	}
}

func TestUnusableLists(t *testing.T) {
	md5Of := func(s string) string { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) }
	wrongSum := part("p", "b,a\n")
	wrongSum.MD5 = md5Of("b,b\n")
	for _, tc := range []struct {
		name  string
		kind  Kind
		opt   Options
		parts []Part
		want  string
	}{
		{"foreign bucket", Rows, Options{}, []Part{part("p", "b,a\nb,c\nother,d\n")}, `p, line 3: the row is of bucket "other"`},
		{"foreign to --bucket", Rows, Options{Bucket: "x"}, []Part{part("p", "b,a\n")}, "p, line 1"},
		{"foreign second part", Rows, Options{}, []Part{part("p", "b,a\n"), part("q", "c,a\n")}, "q, line 1"},
		{"version for some", Rows, Options{}, []Part{part("p", "b,a,v\nb,c\n")}, "p, line 2: the line has 2 columns, and the first one 3"},
		{"one column", Rows, Options{}, []Part{part("p", "a\n")}, "p, line 1: the line has 1 column;"},
		{"not encoded", Rows, Options{}, []Part{part("p", "b,a\nb,100%\n")}, `p, line 2: the key "100%" is not URL-encoded`},
		{"no key", Rows, Options{}, []Part{part("p", "b,\n")}, "p, line 1: the key is empty"},
		{"no bucket", Rows, Options{}, []Part{part("p", ",a\n")}, "p, line 1: the bucket is empty"},
		{"broken quotes", Rows, Options{}, []Part{part("p", "b,a\nb,\"x\n")}, "p, line 2"},
		{"truncated gzip", Rows, Options{Bucket: "b"}, []Part{part("p", zipped(t, strings.Repeat("b,abcdefgh\n", 1000))[:40])}, "truncated"},
		{"empty", Rows, Options{}, []Part{part("p", "\n")}, "p: the list is empty"},
		{"long key", Keys, Options{Bucket: "b"}, []Part{part("p", "a\n"+strings.Repeat("k", 1025))}, "p, line 2: the key has 1025 bytes"},
		{"long line", Keys, Options{Bucket: "b"}, []Part{part("p", strings.Repeat("k", 1<<20))}, "p, line 1"},
		{"keys in UTF-16", Keys, Options{Bucket: "b"}, []Part{part("p", "\xff\xfea\x00b\x00\n\x00")}, "p: it is in UTF-16"},
		{"rows in UTF-16", Rows, Options{}, []Part{part("p", "\xfe\xff\x00b\x00,\x00a")}, "p: it is in UTF-16"},
		{"keys without a bucket", Keys, Options{}, []Part{part("p", "a\n")}, "--bucket"},
		{"wrong MD5", Rows, Options{}, []Part{wrongSum}, "p: its MD5 is"},
		{"short results", Results, Options{}, []Part{part("p", "b,a,\n")}, "p, line 1: the line has 3 columns"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := refs(t, tc.kind, tc.opt, tc.parts...)
			if !errors.As(err, new(*planner.UnusableError)) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if len(got) > 0 {
				t.Errorf("%q came out all the same", got)
			}
		})
	}
}

func TestTroubleOnTheWayIsNoFaultOfTheList(t *testing.T) {
	boom := errors.New("boom")
	p := Part{Name: "p", Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("b,a\nb,c\n"), iotest.ErrReader(boom))), nil
	}}
	_, err := refs(t, Rows, Options{}, p)
	if !errors.Is(err, boom) || errors.As(err, new(*planner.UnusableError)) {
		t.Errorf("%v", err)
	}
}

func TestResume(t *testing.T) {
	var text [3]strings.Builder
	for i := range 3 {
		for j := range 50 {
			state := "failed"
			if j%3 == 0 {
				state = "succeeded"
			}
			fmt.Fprintf(&text[i], "b,k%d-%d,,%s,200,,x\n", i, j, state)
		}
	}
	parts := []Part{part("0", text[0].String()), part("1", text[1].String()), part("2", text[2].String())}
	died := errors.New("died")
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 7))
		seen := map[string]int{}
		cursors := map[string]object.Cursor{}
		for range 100 {
			s, err := New(t.Context(), Results, parts, Options{PageRows: 7})
			if err != nil {
				t.Fatal(err)
			}
			var resume []object.Cursor
			for _, c := range cursors {
				resume = append(resume, c)
			}
			left := random.IntN(12)
			err = s.Read(t.Context(), resume, func(p object.Page) error {
				if left--; left < 0 {
					return died
				}
				for _, o := range p.Objects {
					seen[o.Key]++
				}
				for _, c := range p.Cursors {
					cursors[c.Range] = c
				}
				return nil
			})
			if err == nil {
				break
			}
			if !errors.Is(err, died) {
				t.Fatal(err)
			}
		}
		if len(seen) != 99 {
			t.Fatalf("seed %d: %d keys, want 99", seed, len(seen))
		}
		for k, n := range seen {
			if n != 1 {
				t.Fatalf("seed %d: %s came out %d times", seed, k, n)
			}
		}
	}
}

func TestResumeWithAnotherList(t *testing.T) {
	one, err := New(t.Context(), Rows, []Part{part("p", "b,a\nb,c\n")}, Options{PageRows: 1})
	if err != nil {
		t.Fatal(err)
	}
	var cursors []object.Cursor
	if err := one.Read(t.Context(), nil, func(p object.Page) error { cursors = p.Cursors; return nil }); err != nil {
		t.Fatal(err)
	}
	two, err := New(t.Context(), Rows, []Part{part("p", "b,a\nb,d\n")}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = two.Read(t.Context(), cursors, func(object.Page) error { t.Error("rows came out"); return nil })
	if !errors.As(err, new(*planner.UnusableError)) || !strings.Contains(err.Error(), "not the list that the job began") {
		t.Error(err)
	}
}

func fuzzList(f *testing.F, kind Kind) {
	f.Fuzz(func(t *testing.T, in []byte) {
		p := Part{Name: "p", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(in)), nil }}
		s, err := New(t.Context(), kind, []Part{p}, Options{Bucket: "b", PageRows: 3})
		if err != nil {
			t.Fatal(err)
		}
		emitted := 0
		err = s.Read(t.Context(), nil, func(p object.Page) error {
			emitted += len(p.Objects)
			for _, o := range p.Objects {
				if o.Bucket != "b" || o.Key == "" || len(o.Key) > object.MaxKey {
					t.Fatalf("%+v", o)
				}
			}
			return nil
		})
		if err != nil && (emitted > 0 || !errors.As(err, new(*planner.UnusableError))) {
			t.Fatalf("%d rows came out, and %v", emitted, err)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add([]byte("b,a\nb,x%20y\n"))
	f.Add([]byte("\"b\",\"a\",v\r\n"))
	fuzzList(f, Rows)
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("a\nb\r\n"))
	f.Add([]byte("a\x00b\n\x00"))
	fuzzList(f, Keys)
}

func FuzzResults(f *testing.F) {
	f.Add([]byte("b,k+1,v,failed,403,AccessDenied,Forbidden\n"))
	fuzzList(f, Results)
}

func BenchmarkRows(b *testing.B) {
	var text strings.Builder
	const n = 200_000
	for i := range n {
		fmt.Fprintf(&text, "bucket,%s\n", url.QueryEscape(fmt.Sprintf("logs/2026/%08d file.json", i)))
	}
	s, err := New(b.Context(), Rows, []Part{part("p", text.String())}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		rows := 0
		if err := s.Read(b.Context(), nil, func(p object.Page) error { rows += len(p.Objects); return nil }); err != nil || rows != n {
			b.Fatal(rows, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
