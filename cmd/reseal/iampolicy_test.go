package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/planner/doctor"
)

// TestThePolicyCoversTheJob does jobs of every kind, and asks of each request but
// those for throwaway objects, which AWS is not sent, whether the policy that
// iam-policy prints for the same command line allows it.
func TestThePolicyCoversTheJob(t *testing.T) {
	t.Parallel()
	kms := func(st *stage) []string { return []string{"--sse", "aws:kms", "--sse-kms-key-id", st.keyB} }
	toS3 := func(*stage) []string { return []string{"--sse", "AES256"} }
	dsse := func(st *stage) []string { return []string{"--sse", "aws:kms:dsse", "--sse-kms-key-id", st.keyB} }
	locked := s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter", ObjectLock: true, Documents: website}
	suspended := s3test.BucketConfig{Versioning: "Suspended"}
	atOnce := newPool(t, 4)
	for _, job := range []struct {
		name     string
		cfg      s3test.BucketConfig
		target   func(*stage) []string
		manifest string // a Batch Operations manifest of the "current" objects, or of all "versions"
		args     []string
	}{
		{name: "updates", cfg: locked, target: kms},
		{name: "copies", cfg: locked, target: kms, args: []string{"--operation", "copy"}},
		{name: "multipart", cfg: locked, target: dsse, args: []string{"--multipart-threshold", "1"}},
		{name: "to SSE-S3", cfg: suspended, target: toS3},
		{name: "versions", cfg: locked, target: kms, args: []string{"--versions", "all"}},
		{name: "elsewhere", cfg: locked, target: kms, args: []string{"--dest", "s3://dest/copies/"}},
		{name: "keys", cfg: suspended, target: toS3, manifest: "current"},
		{name: "named versions", cfg: locked, target: kms, manifest: "versions"},
	} {
		atOnce.run(job.name, func(t *testing.T) {
			st := newStage(t, s3test.Config{TLS: true, Seed: 11})
			for name, cfg := range map[string]s3test.BucketConfig{"docs": job.cfg, "dest": {}, "lists": {}} {
				st.server.CreateBucket(name, cfg)
			}
			st.everything("docs", job.cfg)
			args := []string{"s3://docs"}
			if job.manifest != "" {
				var list strings.Builder
				for _, o := range st.server.Snapshot("docs").Objects {
					if !o.DeleteMarker && (o.Latest || job.manifest == "versions") {
						version := ""
						if job.manifest == "versions" {
							version = o.VersionID
						}
						fmt.Fprintf(&list, "docs,%s,%s\n", url.QueryEscape(o.Key), version)
					}
				}
				st.server.Put("lists", s3test.Object{Key: "of/docs.csv", Body: s3test.Bytes(list.String())})
				args = []string{"--manifest", "s3://lists/of/docs.csv", "--bucket", "docs"}
			}
			args = append(append(append(args, "--region", "us-east-1"), job.target(st)...), job.args...)
			dir := filepath.Join(t.TempDir(), "job")
			st.server.ResetRequests()
			if s := st.reseal(t, append([]string{"run", "--job", dir, "--no-progress", "--source-sse-c-key-file", st.oldFile}, args...)...); s.code != 0 && s.code != 3 {
				t.Fatalf("exit code %d\n%s", s.code, s.stderr)
			}
			if s := st.reseal(t, "verify", "--job", dir, "--no-progress", "--source-sse-c-key-file", st.oldFile); s.code != 0 && s.code != 3 {
				t.Fatalf("verify: exit code %d\n%s", s.code, s.stderr)
			}
			requests := st.server.Requests()
			var flags []string // iam-policy runs nothing
			for i := 0; i < len(args); i++ {
				if args[i] == "--multipart-threshold" {
					i++
					continue
				}
				flags = append(flags, args[i])
			}
			s := st.reseal(t, append([]string{"iam-policy"}, flags...)...)
			var policy doctor.Document
			if err := json.Unmarshal([]byte(s.stdout), &policy); err != nil || s.code != 0 {
				t.Fatalf("exit code %d, %v\n%s", s.code, err, s.stderr)
			}
			used := map[string]bool{}
			for i := range requests {
				for _, need := range needed(&requests[i]) {
					used[need.action] = true
					if !allowed(&policy, need) {
						t.Errorf("%s of %s/%s needs %s on %s, which is not granted", requests[i].Op, requests[i].Bucket, requests[i].Key, need.action, need.on)
					}
				}
			}
			var unused []string
			for _, st := range policy.Statement {
				for _, a := range st.Action {
					if !used[a] && strings.HasPrefix(a, "s3:") {
						unused = append(unused, a)
					}
				}
			}
			t.Logf("granted and not used by this job: %v", unused)
		})
	}
	atOnce.wait()
}

// need is an action on a resource; prefix is what a listing asks for.
type need struct {
	action, on, prefix string
}

// needed are the permissions that AWS asks for before it does a request.
func needed(r *s3test.Request) (out []need) {
	if strings.HasPrefix(r.Op, "KMS.") {
		return nil
	}
	bucket := "arn:aws:s3:::" + r.Bucket
	on := bucket
	if r.Key != "" {
		on += "/" + r.Key
	}
	add := func(action, on string) { out = append(out, need{action: action, on: on}) }
	version := ""
	if r.VersionID() != "" {
		version = "Version"
	}
	switch r.Op {
	case "HeadBucket": // its refusal tells as much
	case "DeleteObjects": // throwaway objects, which go one by one where it is refused
	case "ListObjectsV2", "ListObjectVersions":
		if r.Op == "ListObjectVersions" && slices.Equal(r.Query["max-keys"], []string{"1"}) {
			return nil // asks whether it may, and takes no for an answer
		}
		prefix := ""
		if p := r.Query["prefix"]; len(p) > 0 {
			prefix = p[0]
		}
		out = append(out, need{map[string]string{"ListObjectsV2": "s3:ListBucket", "ListObjectVersions": "s3:ListBucketVersions"}[r.Op], on, prefix})
	case "ListMultipartUploads":
		add("s3:ListBucketMultipartUploads", on)
	case "GetBucketEncryption":
		add("s3:GetEncryptionConfiguration", on)
	case "GetObjectLockConfiguration":
		add("s3:GetBucketObjectLockConfiguration", on)
	case "HeadObject", "GetObject":
		add("s3:GetObject"+version, on)
		if r.Status == 404 {
			out = append(out, need{"s3:ListBucket", bucket, r.Key})
		}
	case "GetObjectTagging", "GetObjectAcl", "GetObjectAttributes", "PutObjectAcl", "PutObjectTagging":
		add("s3:"+strings.Replace(r.Op, "Object", "Object"+version, 1), on)
	case "GetBucketLifecycleConfiguration", "GetBucketReplication", "GetBucketNotificationConfiguration":
		add(map[string]string{"GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration", "GetBucketReplication": "s3:GetReplicationConfiguration",
			"GetBucketNotificationConfiguration": "s3:GetBucketNotification"}[r.Op], on)
	case "ListParts":
		add("s3:ListMultipartUploadParts", on)
	case "CopyObject", "UploadPartCopy", "CreateMultipartUpload", "CompleteMultipartUpload", "PutObject":
		add("s3:PutObject", on)
	case "UpdateObjectEncryption":
		if throwaways(r) {
			return nil // no is an answer
		}
		add("s3:UpdateObjectEncryption", on)
		add("s3:PutObject", on)
	default:
		add("s3:"+r.Op, on)
	}
	if source := r.Header.Get("X-Amz-Copy-Source"); source != "" {
		source, id, _ := strings.Cut(source, "?versionId=")
		action := "s3:GetObject"
		if id != "" {
			action += "Version"
		}
		name := strings.TrimPrefix(source, "/")
		add(action, "arn:aws:s3:::"+name)
		if r.Op == "CopyObject" {
			add(action+"Tagging", "arn:aws:s3:::"+name)
			add("s3:PutObjectTagging", on)
		}
	}
	for header, action := range map[string]string{"X-Amz-Tagging": "s3:PutObjectTagging", "X-Amz-Grant-Read": "s3:PutObjectAcl", "X-Amz-Grant-Full-Control": "s3:PutObjectAcl",
		"X-Amz-Object-Lock-Mode": "s3:PutObjectRetention", "X-Amz-Object-Lock-Legal-Hold": "s3:PutObjectLegalHold"} {
		if r.Header.Get(header) != "" {
			add(action, on)
		}
	}
	if h := r.Header; h.Get("If-Match") != "" && r.Method == "PUT" {
		add("s3:GetObject", on)
	}
	return out
}

func allowed(d *doctor.Document, n need) bool {
	return slices.ContainsFunc(d.Statement, func(s doctor.Statement) bool {
		if !slices.Contains(s.Action, n.action) || !slices.ContainsFunc(s.Resource, func(r string) bool { return covers(r, n.on) }) {
			return false
		}
		prefixes, _ := s.Condition["StringLike"]["s3:prefix"].([]any)
		return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p any) bool { return covers(p.(string), n.prefix) })
	})
}

// covers matches a pattern with a star at its end at most.
func covers(pattern, name string) bool {
	head, open := strings.CutSuffix(pattern, "*")
	return open && strings.HasPrefix(name, head) || path.Clean(pattern) == path.Clean(name)
}
