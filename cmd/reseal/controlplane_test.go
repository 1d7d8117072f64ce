//go:build kubernetes

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// cluster is a real control plane and a real MinIO, with nodes of processes between them.
type cluster struct {
	*bed
	api   kubeAPI
	image string
	*fleet
}

// fleet are the nodes of a cluster, which end with the whole test.
type fleet struct {
	whole *testing.T
	mu    struct {
		sync.Mutex
		nodes []*node
	}
}

const (
	shardsOfAll  = 8
	objectsOfAll = 40_000
	allObjects   = "objects"
)

// TestControlPlane has the real control plane of Kubernetes drive what `reseal kubernetes`
// prints, on nodes of processes, over a real MinIO that holds the objects and the state.
func TestControlPlane(t *testing.T) {
	server := realserver.StartMinIO(t, realserver.Options{})
	b := &bed{T: t, server: server, client: server.Client(), bucket: allObjects, binary: staticBinary(t)}
	b.makeVersioned(allObjects)
	b.makeVersioned("state") // so that what a lease was stays to be seen
	var seeding errgroup.Group
	seeding.Go(func() error { return b.seedArchives(allObjects, objectsOfAll) })
	c := &cluster{bed: b, image: "registry.example/reseal:1", api: kubeAPI{realserver.StartKubernetes(t)}, fleet: &fleet{whole: t}}
	// The pod of this job has the node to itself, since there is no other yet.
	c.seeded(twice, 2000)
	c.planned(twice, 1, 2000)
	lost := c.join("node-lost", 1)
	c.applied(twice, 1, "--lease-duration", "15s", "--max-requests-per-second", "8")
	first := c.podOf(twice, 0)
	for _, name := range []string{"node-a", "node-b"} {
		c.join(name, 5)
	}
	t.Run("at once", func(t *testing.T) {
		t.Run("one index twice", func(t *testing.T) { t.Parallel(); c.in(t).oneIndexTwice(lost, first) })
		t.Run("jobs", func(t *testing.T) {
			t.Parallel()
			t.Run("exit 2", func(t *testing.T) { c.in(t).failsAtOnce() })
			t.Run("exit 3", func(t *testing.T) { c.in(t).failsAnIndex() })
			if err := seeding.Wait(); err != nil {
				t.Fatal(err)
			}
			t.Run("eight shards", func(t *testing.T) { c.in(t).eightShards() })
		})
	})
}

// in is the cluster in a part of the test.
func (c *cluster) in(t *testing.T) *cluster {
	b, d := *c.bed, *c
	b.T, d.bed = t, &b
	return &d
}

// staticBinary is reseal as Containerfile builds it, which a root folder with nothing else
// in it can run.
func staticBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reseal")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// seeded makes a versioned bucket of n objects.
func (c *cluster) seeded(bucket string, n int) {
	c.Helper()
	c.makeVersioned(bucket)
	if err := c.seedArchives(bucket, n); err != nil {
		c.Fatal(err)
	}
}

func (b *bed) makeVersioned(bucket string) {
	b.Helper()
	if _, err := b.client.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		b.Fatal(err)
	}
	b.setVersioning(bucket, types.BucketVersioningStatusEnabled)
}

func (b *bed) setVersioning(bucket string, status types.BucketVersioningStatus) {
	b.Helper()
	_, err := b.client.PutBucketVersioning(b.Context(), &s3.PutBucketVersioningInput{Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
	if err != nil {
		b.Fatal(err)
	}
}

// seedArchives puts n objects in archives, which MinIO takes apart: a tenth of the time.
func (b *bed) seedArchives(bucket string, n int) error {
	const each = 2500
	var g errgroup.Group
	g.SetLimit(2)
	for from := 0; from < n; from += each {
		g.Go(func() error {
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			for i := from; i < min(n, from+each); i++ {
				body := fmt.Sprintf("the body of object %d", i)
				if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("data/%02d/object-%05d.bin", i%23, i), Mode: 0o644, Size: int64(len(body))}); err != nil {
					return err
				}
				if _, err := w.Write([]byte(body)); err != nil {
					return err
				}
			}
			if err := w.Close(); err != nil {
				return err
			}
			_, err := b.client.PutObject(b.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(fmt.Sprintf("%d.tar", from)), Body: bytes.NewReader(archive.Bytes()),
				Metadata: map[string]string{"Snowball-Auto-Extract": "true"}})
			return err
		})
	}
	return g.Wait()
}

func (c *cluster) join(name string, cpus int) *node {
	c.Helper()
	role := []string{"AWS_ACCESS_KEY_ID=" + realserver.AccessKey, "AWS_SECRET_ACCESS_KEY=" + realserver.SecretKey}
	n, err := joinNode(c.whole, c.api, name, cpus, map[string]string{c.image: c.binary}, role)
	if err != nil {
		c.Fatal(err)
	}
	c.fleet.mu.Lock()
	defer c.fleet.mu.Unlock()
	c.fleet.mu.nodes = append(c.fleet.mu.nodes, n)
	return n
}

func place(name string) string { return "s3://state/jobs/" + name }

// planned divides a job over a bucket of that name, whose state lies in a bucket.
func (c *cluster) planned(bucket string, shards, objects int) {
	c.Helper()
	out := c.reseal(0, "plan", "s3://"+bucket, "--sse", "aws:kms", "--sse-kms-key-id", c.server.Keys[0], "--job", place(bucket), "--shards", fmt.Sprint(shards), "--json")
	var d struct{ Shards []json.RawMessage }
	if err := json.Unmarshal(out, &d); err != nil || len(d.Shards) != shards {
		c.Fatalf("%v: %s", err, out)
	}
	if n := len(c.listOf(bucket)); n != objects {
		c.Fatalf("%d objects, want %d", n, objects)
	}
}

func (c *cluster) listOf(bucket string) []string {
	b := *c.bed
	b.bucket = bucket
	return b.list()
}

// applied gives the control plane what `reseal kubernetes` prints for a job.
func (c *cluster) applied(name string, parallelism int, run ...string) {
	c.Helper()
	args := []string{"kubernetes", "--job", place(name), "--name", name, "--parallelism", fmt.Sprint(parallelism), "--image", c.image, "--user", "65532", "--"}
	c.api.apply(c.T, string(c.reseal(0, append(args, run...)...)))
}

// ran are the Pods of a Job that ever ran, on whichever node.
func (f *fleet) ran(job string) (pods []*nodePod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.mu.nodes {
		pods = append(pods, n.ran(job)...)
	}
	return pods
}

// podOf is the Pod of an index whose process runs, and is none of those.
func (c *cluster) podOf(job string, index int, but ...*nodePod) *nodePod {
	c.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
		for _, p := range c.ran(job) {
			if p.index() == fmt.Sprint(index) && p.lives() && !slices.Contains(but, p) {
				return p
			}
		}
	}
	c.Fatalf("no pod of index %d of %s runs\n%s", index, job, c.api.Logs())
	return nil
}

// eightShards: three of eight pods are killed at work and lose their disks, and the API
// server is restarted in between.
func (c *cluster) eightShards() {
	defer c.explain(allObjects)
	c.planned(allObjects, shardsOfAll, objectsOfAll)
	c.applied(allObjects, shardsOfAll, "--lease-duration", "15s", "--max-requests-per-second", "1000")
	victims := []int{1, 4, 6}
	for i, shard := range victims {
		if i == 2 {
			start := time.Now()
			if err := c.api.RestartAPI(c.Context()); err != nil {
				c.Fatal(err)
			}
			c.Logf("the API server was away for %s", time.Since(start).Round(100*time.Millisecond))
		}
		p := c.podOf(allObjects, shard)
		at := c.atWork(shard)
		if state, err := os.ReadDir(filepath.Join(p.dir, "root", "tmp")); err != nil || len(state) == 0 {
			c.Errorf("nothing of the job is on the disk of shard %d: %v", shard, err)
		}
		if err := p.lose(); err != nil {
			c.Fatal(err)
		}
		c.Logf("shard %d was killed with %d done and %d to do", shard, at.Done, at.Remaining)
	}
	j, how := c.api.end(c.T, allObjects, 6*time.Minute)
	if how.Type != "Complete" || j.Status.CompletedIndexes != "0-7" || j.Status.Succeeded != shardsOfAll || j.Status.Failed != len(victims) {
		c.Fatalf("%+v %+v", how, j.Status)
	}
	if c.checkEach(allObjects, objectsOfAll) == 0 {
		c.Error("no kill came between a copy and its record: the test shows too little")
	}
}

// atWork waits until a shard has done some of its objects and has many more to do: a status
// is some seconds old.
func (c *cluster) atWork(shard int) bucketStatus {
	c.Helper()
	var s bucketStatus
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); <-time.After(300 * time.Millisecond) {
		out := c.reseal(0, "status", "--job", fmt.Sprintf("%s/shards/%04d", place(allObjects), shard), "--json")
		s = bucketStatus{}
		if err := json.Unmarshal(out, &s); err != nil {
			c.Fatal(err)
		}
		if s.Running && s.Done > 200 && s.Remaining > 1000 {
			return s
		}
	}
	c.Fatalf("shard %d is not at work: %+v", shard, s)
	return s
}
