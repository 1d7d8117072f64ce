package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealServerTakesFolders: 1,000 files and some large ones go up to a real store, killed on
// the way, and come back: the same bytes, the same times. So do they encrypted by the client.
func TestRealServerTakesFolders(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	b := newBed(t, server, "folders")
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	write := func(path string, body []byte) {
		path = filepath.Join(from, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(1_600_000_000, int64(len(path))*1_000_003)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		write(fmt.Sprintf("%d/%d/file %d é+%%2F.txt", i%7, i%31, i), []byte(strings.Repeat(fmt.Sprint(i), i%500)))
	}
	for i, size := range []int{5 << 20, 16<<20 + 1, 33 << 20} {
		write(fmt.Sprint("large", i), []byte(strings.Repeat("0123456789abcdef", size/16+1)[:size]))
	}
	want := tree(t, from)
	raw := filepath.Join(dir, "raw.key")
	if err := os.WriteFile(raw, []byte{31: 7}, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, with := range [][2][]string{
		{{"--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0]}, nil},
		{{"--client-side", "v3", "--cse-key-file", raw}, {"--client-side", "none", "--source-cse-key-file", raw}},
	} {
		up, down, to := filepath.Join(dir, fmt.Sprint("up", i)), filepath.Join(dir, fmt.Sprint("down", i)), filepath.Join(dir, fmt.Sprint("to", i))
		place := fmt.Sprintf("s3://%s/in%d/", b.bucket, i)
		b.killedWhen(func() bool { return b.holds(fmt.Sprintf("in%d/", i), 100) }, append([]string{"run", from, "--dest", place, "--job", up, "--no-progress"}, with[0]...)...)
		b.reseal(0, append([]string{"run", from, "--dest", place, "--job", up, "--no-progress"}, with[0]...)...)
		b.reseal(0, "verify", "--job", up)
		b.killedWhen(func() bool { return files(to) >= 100 }, append([]string{"run", place, "--dest", to, "--job", down, "--no-progress"}, with[1]...)...)
		b.reseal(0, append([]string{"run", place, "--dest", to, "--job", down, "--no-progress"}, with[1]...)...)
		b.reseal(0, "verify", "--job", down)
		if diff := differences(want, tree(t, to)); len(diff) > 0 {
			t.Errorf("%d files differ, such as %s", len(diff), diff[0])
		}
	}
}

// holds says whether the bucket has so many objects below a prefix.
func (b *bed) holds(prefix string, n int) bool {
	out, err := b.client.ListObjectsV2(b.Context(), &s3.ListObjectsV2Input{Bucket: &b.bucket, Prefix: &prefix})
	return err == nil && len(out.Contents) >= n
}

// files counts those below a folder, also while others are at work there.
func files(dir string) (n int) {
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return nil
	})
	return n
}

// killedWhen begins a command and kills its process as soon as something holds.
func (b *bed) killedWhen(holds func() bool, args ...string) {
	b.Helper()
	cmd := b.command(args...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			b.Fatalf("%v: it never came so far", args)
		}
	}
	_ = cmd.Process.Kill()
	if err := <-ended; err == nil {
		b.Fatalf("%v ended before it was killed", args)
	}
}
