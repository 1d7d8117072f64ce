package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// FoldersConfig is the workload "folders": the files of a folder go up to a real MinIO that
// keeps its data in memory, under SSE-S3, and down again.
type FoldersConfig struct {
	Rounds      int
	Concurrency int
	Sets        list
	Only        list
	Dir         string
}

func (c *FoldersConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Rounds, "rounds", 1, "rounds; the participants take turns")
	f.IntVar(&c.Concurrency, "concurrency", 64, "requests in flight of the peers; reseal finds its own")
	f.Var(&c.Sets, "set", "files, as COUNTxBYTES (repeatable; default 20000x4096, 8x67108864)")
	f.Var(&c.Only, "only", "take part only if the name holds this (repeatable)")
	f.StringVar(&c.Dir, "dir", "", "where the files lie; /dev/shm takes the disk out of the figures")
}

// RunFolders makes two tables for each set: up and down.
func RunFolders(ctx context.Context, c FoldersConfig, log io.Writer) (_ []*Table, err error) {
	if len(c.Sets) == 0 {
		c.Sets = list{"20000x4096", "8x67108864"}
	}
	b := &builder{}
	defer func() { err = errors.Join(err, b.Close()) }()
	srv, err := realserver.Start(ctx, realserver.Options{Env: []string{"MINIO_SCANNER_SPEED=slowest"}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	var tables []*Table
	for _, text := range c.Sets {
		s, err := parseSet(text)
		if err != nil {
			return nil, err
		}
		got, err := c.set(ctx, b, srv, s, log)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		tables = append(tables, got...)
	}
	return tables, nil
}

// folderTask is a folder, and where its files go.
type folderTask struct {
	task
	folder string
	down   bool
}

func (c *FoldersConfig) set(ctx context.Context, b *builder, srv *realserver.Server, s set, log io.Writer) (_ []*Table, err error) {
	dir, err := os.MkdirTemp(c.Dir, "reseal-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	from := filepath.Join(dir, "from")
	want, err := makeTree(from, s)
	if err != nil {
		return nil, err
	}
	var tables []*Table
	for _, down := range []bool{false, true} {
		way := map[bool]string{false: "up", true: "down"}[down]
		t := &Table{Workload: "folders " + way, What: fmt.Sprintf("%s %s, real MinIO in memory on the same %s", s, way, plural(thisMachine().CPUs, "CPU")),
			Columns: []Column{{"seconds", "%.2f", true}, {"objects/s", "%.0f", false}, {"MB/s", "%.0f", false}, {"client CPU ms/object", "%.3f", false}, {"peak RSS MB", "%.1f", false}}}
		ready, err := c.Only.present(ctx, folderPeers(b), t, log)
		if err != nil {
			return nil, err
		}
		for round := range c.Rounds {
			for i, p := range ready {
				w := &folderTask{folder: from, down: down}
				w.task = task{endpoint: srv.Endpoint, caFile: srv.CAFile, accessKey: realserver.AccessKey, secretKey: realserver.SecretKey, prefix: "in/",
					bucket: fmt.Sprintf("folders-%dx%d-%d-%d-%s", s.count, s.size, round, i, way), objects: s.count, concurrency: c.Concurrency, sse: "AES256",
					dir: filepath.Join(dir, fmt.Sprint("run", round, i, way))}
				f, err := w.measure(ctx, srv, p, s, want)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", p.name, err)
				}
				t.add(p.name, p.version, s.count, f)
				fmt.Fprintf(log, "%s %s round %d: %-28s %8.2f s\n", s, way, round+1, p.name, f["seconds"])
			}
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// measure lets a participant take the files up, or down from where this tool has put them,
// and compares all of them.
func (w *folderTask) measure(ctx context.Context, srv *realserver.Server, p found, s set, want [sha256.Size]byte) (_ Figures, err error) {
	bucket := &benchBucket{srv: srv, name: w.bucket}
	if err := bucket.create(ctx); err != nil {
		return nil, err
	}
	defer bucket.remove()
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(w.dir)) }()
	run1 := func(down bool) (Cost, error) {
		x := *w
		if x.down = down; down {
			x.folder = filepath.Join(w.dir, "to")
		}
		cmd := p.command(ctx, p.path, &x.task)
		cmd.Args = append(cmd.Args[:1], folderArgs(p.name, &x)...)
		return run(cmd, nil)
	}
	cost, err := run1(false)
	if err != nil {
		return nil, err
	}
	back, err := run1(true)
	if err != nil {
		return nil, err
	}
	if w.down {
		cost = back
	}
	if got, err := sumTree(filepath.Join(w.dir, "to")); err != nil || got != want {
		return nil, errors.Join(err, fmt.Errorf("the files that came back are others: %x, want %x", got, want))
	}
	n := float64(s.count)
	return Figures{"seconds": cost.Seconds, "objects/s": n / cost.Seconds, "MB/s": n * float64(s.size) / 1e6 / cost.Seconds,
		"client CPU ms/object": cost.CPUSeconds * 1e3 / n, "peak RSS MB": float64(cost.PeakRSS) / 1e6}, nil
}

func folderPeers(b *builder) []*participant {
	none := func(*task) []string { return nil } // folderArgs has them
	return []*participant{
		{name: "reseal", share: 1, find: b.find, args: none},
		{name: "s5cmd", share: 1, find: pinned("s5cmd", "github.com/peak/s5cmd/v2"), args: none},
		{name: "aws-cli", share: 1, find: installed("aws", `aws-cli/[0-9.]+`, "--version"), args: none},
	}
}

// folderArgs are a participant's arguments.
func folderArgs(name string, w *folderTask) []string {
	src, dst := w.folder+"/", w.url()
	if w.down {
		src, dst = dst, src
	}
	switch name {
	case "reseal":
		job := filepath.Join(w.dir, fmt.Sprint("job-", w.down))
		args := []string{"run", src, "--dest", dst, "--job", job, "--json", "--no-progress"}
		if !w.down {
			args = append(args, "--sse", w.sse)
		}
		if w.caFile != "" {
			args = append(args, "--ca-bundle", w.caFile)
		}
		return args
	case "s5cmd":
		args := []string{"--endpoint-url", w.endpoint, "--numworkers", fmt.Sprint(w.concurrency), "--log", "error", "cp"}
		if w.down {
			return append(args, src+"*", dst)
		}
		return append(args, "--sse", w.sse, src, dst)
	}
	args := []string{"--endpoint-url", w.endpoint, "s3", "cp", "--recursive", "--only-show-errors"}
	if !w.down {
		args = append(args, "--sse", w.sse)
	}
	return append(args, src, dst)
}

// makeTree writes the files, and gives sumTree of them.
func makeTree(dir string, s set) (sum [sha256.Size]byte, err error) {
	noise := rand.NewChaCha8([32]byte{1})
	for i := range s.count {
		path := filepath.Join(dir, fmt.Sprint(i%40), fmt.Sprint(i/40%20), fmt.Sprintf("file-%06d", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return sum, err
		}
		f, err := os.Create(path)
		if err == nil {
			_, err = io.CopyN(f, noise, s.size)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return sum, err
		}
	}
	return sumTree(dir)
}

// sumTree is made of the names and the bytes of all files.
func sumTree(dir string) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintf(h, "%q ", rel)
		_, err = io.Copy(h, f)
		return err
	})
	return [sha256.Size]byte(h.Sum(nil)), err
}
