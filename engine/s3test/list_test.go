package s3test_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/s3test"
)

// randomKeys are keys of few letters, so that prefixes and delimiters meet.
func randomKeys(n int, seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	set := map[string]bool{}
	for len(set) < n {
		k := make([]byte, 1+r.IntN(9))
		for i := range k {
			k[i] = "ab/-.~"[r.IntN(6)]
		}
		set[string(k)] = true
	}
	var keys []string
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	r.Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// list reads all pages: keys, then common prefixes.
func list(t *testing.T, c *s3.Client, in *s3.ListObjectsV2Input) (got []string) {
	t.Helper()
	in.Bucket = aws.String("b")
	p := s3.NewListObjectsV2Paginator(c, in)
	for p.HasMorePages() {
		page := must[*s3.ListObjectsV2Output](t)(p.NextPage(context.Background()))
		if n := len(page.Contents) + len(page.CommonPrefixes); n > int(*page.MaxKeys) || n == 0 && aws.ToBool(page.IsTruncated) || int(*page.KeyCount) != n {
			t.Fatalf("a page of %d, truncated %v", n, page.IsTruncated)
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
		for _, o := range page.CommonPrefixes {
			got = append(got, *o.Prefix)
		}
	}
	slices.Sort(got)
	return got
}

// reference is what a listing must give, computed the slow way.
func reference(keys []string, prefix, delimiter, after string) []string {
	set := map[string]bool{}
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) || k <= after {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			k = k[:len(prefix)+i+len(delimiter)]
		}
		set[k] = true
	}
	var out []string
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func TestListAgainstReference(t *testing.T) {
	keys := randomKeys(700, 1)
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	for _, k := range keys {
		s.Put("b", s3test.Object{Key: k})
	}
	c := client(t, s)
	for _, prefix := range []string{"", "a", "a/", "b-", "zz", "~"} {
		for _, delimiter := range []string{"", "/", "-", "a/"} {
			for _, max := range []int32{1, 7, 1000} {
				if max == 1 && prefix == "" {
					continue // slow, and nothing new
				}
				got := list(t, c, &s3.ListObjectsV2Input{Prefix: &prefix, Delimiter: &delimiter, MaxKeys: &max})
				if want := reference(keys, prefix, delimiter, ""); !slices.Equal(got, want) {
					t.Errorf("prefix %q delimiter %q max %d: %d rows, want %d", prefix, delimiter, max, len(got), len(want))
				}
			}
		}
	}
	got := list(t, c, &s3.ListObjectsV2Input{StartAfter: aws.String("a/b")})
	if want := reference(keys, "", "", "a/b"); !slices.Equal(got, want) {
		t.Errorf("start-after: %d rows, want %d", len(got), len(want))
	}
	if _, err := c.ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: aws.String("b"), ContinuationToken: aws.String("$")}); code(err) != "InvalidArgument" {
		t.Errorf("bad token: %v", err)
	}
}

func TestListVersionsAgainstReference(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	var want []string
	for i := range 12 {
		key := fmt.Sprintf("k%02d", i)
		for range i % 4 {
			s.Put("b", s3test.Object{Key: key})
		}
		if i%3 == 0 {
			s.Put("b", s3test.Object{Key: key, DeleteMarker: true})
		}
	}
	for _, o := range s.Snapshot("b").Objects {
		want = append(want, fmt.Sprint(o.Key, o.VersionID, o.Latest, o.DeleteMarker))
	}
	slices.Sort(want)
	for _, max := range []int32{1, 2, 3, 1000} {
		var got []string
		p := s3.NewListObjectVersionsPaginator(client(t, s), &s3.ListObjectVersionsInput{Bucket: aws.String("b"), MaxKeys: &max})
		for p.HasMorePages() {
			page := must[*s3.ListObjectVersionsOutput](t)(p.NextPage(context.Background()))
			for _, v := range page.Versions {
				got = append(got, fmt.Sprint(*v.Key, *v.VersionId, *v.IsLatest, false))
			}
			for _, v := range page.DeleteMarkers {
				got = append(got, fmt.Sprint(*v.Key, *v.VersionId, *v.IsLatest, true))
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("max %d: %d rows, want %d", max, len(got), len(want))
		}
	}
	if got := list(t, client(t, s), &s3.ListObjectsV2Input{}); len(got) != 6 {
		t.Errorf("objects whose latest is no delete marker: %v", got)
	}
}

func TestKeysComeAndGo(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	r := rand.New(rand.NewPCG(5, 5))
	have := map[string]bool{}
	for range 20000 {
		k := fmt.Sprintf("%04d", r.IntN(3000))
		if r.IntN(3) == 0 {
			s.Remove("b", k, "")
			delete(have, k)
		} else {
			s.Put("b", s3test.Object{Key: k})
			have[k] = true
		}
	}
	var got []string
	for _, o := range s.Snapshot("b").Objects {
		got = append(got, o.Key)
	}
	if !slices.IsSorted(got) || len(got) != len(have) {
		t.Errorf("%d keys of %d, sorted %t", len(got), len(have), slices.IsSorted(got))
	}
	if listed := list(t, client(t, s), &s3.ListObjectsV2Input{}); !slices.Equal(listed, got) {
		t.Errorf("listed %d of %d", len(listed), len(got))
	}
}
