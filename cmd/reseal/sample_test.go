package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestSampleUnderEachKey: permissions are asked about on the first object, with the key that it
// is under: any of those given, the target's where an earlier job was there, or none of them.
func TestSampleUnderEachKey(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{TLS: true, Seed: 4})
	var keys []object.CustomerKey
	args := []string{"doctor", "--sse", "sse-c", "--sse-c-key-file", st.newFile}
	for _, name := range []string{"first", "second", "third"} {
		key, file := st.customerKey(t, name)
		keys, args = append(keys, key), append(args, "--source-sse-c-key-file", file)
	}
	for name, key := range map[string]object.CustomerKey{"first": keys[0], "second": keys[1], "third": keys[2], "target": st.newKey, "unknown": st.oldKey} {
		st.server.CreateBucket(name, s3test.BucketConfig{})
		st.server.Put(name, s3test.Object{Key: "k", Body: s3test.Bytes("bytes")}, s3test.CustomerKey(key))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := st.reseal(t, append(slices.Clone(args), "s3://"+name)...)
			if strings.Contains(end.stdout+end.stderr, "is missing") {
				t.Errorf("exit code %d\n%s%s", end.code, end.stdout, end.stderr)
			}
		})
	}
	t.Run("denied", func(t *testing.T) {
		st.server.CreateBucket("denied", s3test.BucketConfig{Deny: []s3test.Deny{{Action: "s3:GetObject", Keys: "k"}}})
		st.server.Put("denied", s3test.Object{Key: "k", Body: s3test.Bytes("bytes")}, s3test.CustomerKey(keys[1]))
		end := st.reseal(t, append(slices.Clone(args), "s3://denied")...)
		if !strings.Contains(end.stdout, "s3:GetObject on arn:aws:s3:::denied/k is missing") {
			t.Errorf("exit code %d\n%s%s", end.code, end.stdout, end.stderr)
		}
	})
}
