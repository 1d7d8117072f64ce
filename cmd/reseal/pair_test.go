package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// replicates is the configuration of a bucket with these rules: a prefix and a bucket each.
func replicates(rules ...[2]string) map[string]string {
	var b strings.Builder
	b.WriteString("<ReplicationConfiguration><Role>r</Role>")
	for i, r := range rules {
		fmt.Fprintf(&b, "<Rule><ID>r%d</ID><Status>Enabled</Status><Filter><Prefix>%s</Prefix></Filter><Destination><Bucket>arn:aws:s3:::%s</Bucket></Destination></Rule>", i, r[0], r[1])
	}
	return map[string]string{"replication": b.String() + "</ReplicationConfiguration>"}
}

// places is where a job works, and where it does not.
type placesOf struct {
	Unread []struct{ Bucket, Prefix, Unread string }
	Shards []struct{ Bucket, Prefix string }
}

func (st *stage) underKey(bucket, key string) (n int) {
	for _, o := range st.server.Snapshot(bucket).Objects {
		if o.Encryption.KMSKeyID == key {
			n++
		}
	}
	return n
}

// TestPair: the buckets that a source is replicated to get shards of their own, for the keys
// that its rules replicate; those that are gone or another account's are named, and are not
// the end.
func TestPair(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 4})
	st.server.CreateBucket("a", s3test.BucketConfig{Documents: replicates([2]string{"in/", "b"}, [2]string{"in/deep/", "b"}, [2]string{"", "theirs"}, [2]string{"", "gone"}, [2]string{"out/", "c"})})
	st.server.CreateBucket("b", s3test.BucketConfig{Documents: replicates([2]string{"", "a"})})
	st.server.CreateBucket("c", s3test.BucketConfig{})
	st.server.CreateBucket("theirs", s3test.BucketConfig{Deny: []s3test.Deny{{Action: "s3:ListBucket"}, {Action: "s3:ListBucketVersions"}}})
	for _, b := range []string{"a", "b", "c", "theirs"} {
		for _, key := range []string{"in/1", "in/deep/2", "out/3", "in/4"} {
			st.server.Put(b, s3test.Object{Key: key, Body: s3test.Bytes(key)})
		}
	}
	dir := filepath.Join(t.TempDir(), "job")
	args := []string{"run", "s3://a/in/", "--pair", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir}
	if s := st.reseal(t, args...); s.code != 3 {
		t.Fatalf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if a, b, c, d := st.underKey("a", st.keyB), st.underKey("b", st.keyB), st.underKey("c", st.keyB), st.underKey("theirs", st.keyB); a != 3 || b != 3 || c != 0 || d != 0 {
		t.Errorf("under the key: %d in a, %d in b, %d in c, %d in theirs", a, b, c, d)
	}
	var is placesOf
	st.jsonOf(t, &is, 0, "status", "--job", dir, "--json")
	if len(is.Unread) != 2 || is.Unread[0].Bucket != "theirs" || is.Unread[1].Bucket != "gone" || is.Unread[0].Prefix != "in/" || len(is.Shards) != 2 {
		t.Errorf("%+v", is)
	}
	st.server.ConfigureBucket("a", func(c *s3test.BucketConfig) { c.Documents = nil }) // what was frozen stays
	if s := st.reseal(t, args...); s.code != 3 {
		t.Errorf("again: exit code %d\n%s", s.code, s.stderr)
	}
	if s := st.reseal(t, "run", "s3://a/in/", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir); s.code != 2 {
		t.Errorf("without --pair: exit code %d\n%s", s.code, s.stderr)
	}
	st.server.ConfigureBucket("a", func(c *s3test.BucketConfig) { c.Deny = []s3test.Deny{{Action: "s3:GetReplicationConfiguration"}} })
	if s := st.reseal(t, "plan", "s3://a", "--pair", "--sse", "AES256", "--job", dir+"2"); s.code != 2 || !strings.Contains(s.stderr, "grant s3:GetReplicationConfiguration") {
		t.Errorf("rules that may not be read: exit code %d\n%s", s.code, s.stderr)
	}
	if s := st.reseal(t, "plan", "--manifest", "x.csv", "--pair", "--sse", "AES256", "--job", dir+"2"); s.code != 2 || !strings.Contains(s.stderr, "--pair") {
		t.Errorf("with a manifest: exit code %d\n%s", s.code, s.stderr)
	}
}

// TestPairInAnotherRegion: under a multi-Region key the replicas get the replica of the key
// in their own region; without one, and under a key of one region, they are named as what
// cannot be reached.
func TestPairInAnotherRegion(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"replica", "none", "ordinary"} {
		t.Run(kind, func(t *testing.T) {
			st := newAWS(t, s3test.Config{Seed: 4})
			key, there := st.keyB, ""
			if kind != "ordinary" {
				key = st.server.KMS.CreateKeyWith(kms.KeyOptions{MultiRegion: true})
			}
			if kind == "replica" {
				there = st.server.KMS.ReplicateKey(key, "eu-west-1")
			}
			st.server.CreateBucket("a", s3test.BucketConfig{Documents: replicates([2]string{"", "b"})})
			st.server.CreateBucket("b", s3test.BucketConfig{Region: "eu-west-1"})
			for _, b := range []string{"a", "b"} {
				for i := range 5 {
					st.server.Put(b, s3test.Object{Key: fmt.Sprint("k", i), Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
				}
			}
			dir := filepath.Join(t.TempDir(), "job")
			s := st.reseal(t, "run", "s3://a", "--pair", "--sse", "aws:kms", "--sse-kms-key-id", key, "--no-progress", "--job", dir)
			if want := map[bool]int{true: 0, false: 3}[kind == "replica"]; s.code != want {
				t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
			}
			if a := st.underKey("a", key); a != 5 {
				t.Errorf("%d of a are under %s", a, key)
			}
			if b := st.underKey("b", there); kind == "replica" && b != 5 {
				t.Errorf("%d of b are under %s", b, there)
			}
			if kind == "replica" {
				st.does(t, "verify", "--job", dir)
				s := st.reseal(t, "who-needs", key, "s3://a", "s3://b", "--json", "--quiet")
				var answer struct {
					Sources []struct{ Current, Replicas struct{ Objects int } }
				}
				if err := json.Unmarshal([]byte(s.stdout), &answer); err != nil || s.code != 3 || answer.Sources[0].Current.Objects != 5 || answer.Sources[1].Current.Objects != 0 || answer.Sources[1].Replicas.Objects != 5 {
					t.Errorf("who-needs: exit code %d: %s, %v", s.code, s.stdout, err)
				}
				return
			}
			var is placesOf
			st.jsonOf(t, &is, 0, "status", "--job", dir, "--json")
			if len(is.Unread) != 1 || is.Unread[0].Bucket != "b" || !strings.Contains(is.Unread[0].Unread, "eu-west-1") {
				t.Errorf("%+v", is)
			}
		})
	}
}

// TestAnAliasThatMoves: a job goes on with the key that its alias led to when it began, says
// that it leads elsewhere by now, and selects by no alias.
func TestAnAliasThatMoves(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 4})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Fill("b", 6, func(i int) string { return fmt.Sprint("k", i) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}})
	dir := filepath.Join(t.TempDir(), "job")
	st.does(t, "plan", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", "alias/b", "--job", dir)
	st.server.KMS.PointAlias("alias/b", st.keyA)
	s := st.reseal(t, "run", "--job", dir, "--no-progress")
	if s.code != 0 || st.underKey("b", st.keyB) != 6 || !strings.Contains(s.stderr, "the alias leads to another key by now") {
		t.Errorf("exit code %d, %d under the first key\n%s", s.code, st.underKey("b", st.keyB), s.stderr)
	}
	for _, args := range [][]string{{"plan", "s3://b", "--sse", "AES256", "--job", dir + "2"}, {"audit", "s3://b"}, {"prune", "--job", dir, "--versions", "noncurrent"}} {
		st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
		s := st.reseal(t, append(args, "--only-encryption", "sse-kms=alias/b")...)
		if s.code != 2 || !strings.Contains(s.stderr, "name the key that it leads to now: "+st.keyA) {
			t.Errorf("%s: exit code %d\n%s", args[0], s.code, s.stderr)
		}
	}
}

// TestWhoNeedsARotatedKey: the material of a key changes and its ARN does not, so that what
// was encrypted before needs it as much; the answer tells how often that was.
func TestWhoNeedsARotatedKey(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 4})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	put := func(key string) {
		st.server.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA}}})
	}
	put("before")
	for range 2 {
		st.server.KMS.Rotate(st.keyA)
	}
	put("after")
	var answer struct {
		Sources  []neededHere
		Rotation struct {
			Rotations int
			Material  string `json:"key_material_id"`
		}
	}
	st.jsonOf(t, &answer, 3, "who-needs", "alias/a", "s3://b", "--json", "--quiet")
	if answer.Sources[0].Current.Objects != 2 || answer.Rotation.Rotations != 2 || answer.Rotation.Material == "" {
		t.Errorf("%+v", answer)
	}
	if s := st.reseal(t, "who-needs", "alias/a", "s3://b", "--quiet"); !strings.Contains(s.stdout, "material rotated 2 times") {
		t.Error(s.stdout)
	}
}

// TestPairOnAnotherServer: MinIO's rules lead to buckets of other servers. One of the same
// name here is nobody's replica.
func TestPairOnAnotherServer(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"a", "b"} {
		st := newStage(t, s3test.Config{Seed: 4})
		st.server.CreateBucket("a", documents("replication", fmt.Sprintf(mirrorRule, "Enabled")))
		st.server.CreateBucket("b", documents("replication", fmt.Sprintf(mirrorRule, "Enabled")))
		for _, b := range []string{"a", "b"} {
			st.server.Put(b, s3test.Object{Key: "k", Body: s3test.Bytes("k")})
		}
		s := st.reseal(t, "run", "s3://"+source, "--pair", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", filepath.Join(st.dir, "job"))
		if s.code != 2 || !strings.Contains(s.stderr, "another server") || st.underKey("a", st.keyB)+st.underKey("b", st.keyB) > 0 {
			t.Errorf("from %s: exit code %d\n%s", source, s.code, s.stderr)
		}
	}
}
