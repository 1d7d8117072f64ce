package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestBytesThatChangedOnTheirWay: what goes through this process takes the place of the
// only object that there is. Bytes that were changed while they were read are read again;
// an object whose bytes the store has lost is left as it is.
func TestBytesThatChangedOnTheirWay(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"rewrite":     {"--operation", "rewrite", "--sse", "aws:kms"},
		"client-side": {"--client-side", "v3"},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, s3test.Config{Seed: 3})
			st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
			for _, key := range []string{"plain", "summed", "lost"} {
				o := s3test.Object{Key: key, Body: s3test.Bytes("what was there: " + key)}
				if key != "plain" {
					o.Checksum = s3test.Checksum{Algorithm: "CRC32C", Type: "FULL_OBJECT", Value: object.Checksum("CRC32C", o.Body.ReadAll())}
				}
				st.server.Put("b", o)
			}
			var mu sync.Mutex
			read := map[string]int{}
			there := st.behind(t, front{change: func(reply *http.Response, body []byte) []byte {
				key, of := strings.CutPrefix(reply.Request.URL.Path, "/b/")
				mu.Lock()
				defer mu.Unlock()
				if reply.Request.Method == http.MethodGet && of && !strings.Contains(key, "canary") && len(body) > 0 && reply.Request.URL.RawQuery == "" {
					if read[key]++; read[key] == 1 || key == "lost" {
						body[0] ^= 1
					}
				}
				return body
			}})
			args := append([]string{"run", "s3://b", "--no-progress", "--job", filepath.Join(t.TempDir(), "job")}, args...)
			if name == "rewrite" {
				args = append(args, "--sse-kms-key-id", st.keyB)
			} else {
				args = append(args, "--cse-kms-key-id", st.keyB)
			}
			s := there.reseal(t, args...)
			rows := there.rows(t, args[4])
			for key, state := range map[string]string{"plain": "done", "summed": "done", "lost": "failed"} {
				if rows[key]["state"] != state {
					t.Errorf("%s is %s: %s", key, rows[key]["state"], rows[key]["message"])
				}
			}
			if s.code != 3 || !strings.Contains(rows["lost"]["message"], "CRC32C") || read["plain"] < 2 {
				t.Errorf("exit code %d, %v\n%s", s.code, rows["lost"], s.stderr)
			}
			if now := st.server.Snapshot("b").Find("lost"); len(now) != 1 {
				t.Errorf("it was written: %d versions", len(now))
			}
			if now, _ := st.server.Get("b", "plain", ""); name == "rewrite" && string(now.Body.ReadAll()) != "what was there: plain" {
				t.Errorf("it holds %q", now.Body.ReadAll())
			}
		})
	}
}

// TestPartsThatChangedOnTheirWay: the same of an object that goes through this process by
// parts, of which none can be told apart by itself.
func TestPartsThatChangedOnTheirWay(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	for _, key := range []string{"sound", "changed"} {
		o := s3test.Object{Key: key, Body: s3test.Synthetic(7, 11<<20+5)}
		o.Checksum = s3test.Checksum{Algorithm: "CRC64NVME", Type: "FULL_OBJECT", Value: object.Checksum("CRC64NVME", o.Body.ReadAll())}
		st.server.Put("b", o)
	}
	there := st.behind(t, front{change: func(reply *http.Response, body []byte) []byte {
		if r := reply.Request; r.Method == http.MethodGet && r.URL.Path == "/b/changed" && strings.HasPrefix(r.Header.Get("Range"), "bytes=5242880-") {
			body[1] ^= 4
		}
		return body
	}})
	dir := filepath.Join(t.TempDir(), "job")
	s := there.reseal(t, "run", "s3://b", "--client-side", "v3", "--cse-kms-key-id", st.keyB, "--no-progress", "--job", dir)
	rows := there.rows(t, dir)
	if s.code != 3 || rows["sound"]["state"] != "done" || rows["changed"]["state"] != "failed" || !strings.Contains(rows["changed"]["message"], "CRC64NVME") {
		t.Errorf("exit code %d, %v\n%s", s.code, rows, s.stderr)
	}
	now := st.server.Snapshot("b")
	if len(now.Find("changed")) != 1 || len(now.Find("sound")) != 2 || len(now.Uploads) > 0 {
		t.Errorf("%d and %d versions, %d uploads", len(now.Find("changed")), len(now.Find("sound")), len(now.Uploads))
	}
}
