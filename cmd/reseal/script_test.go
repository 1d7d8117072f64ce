package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
	"github.com/resealhq/reseal/engine/s3test/s3control"
)

// scriptStore is the embedded store of one transcript.
type scriptStore struct {
	server *s3test.Server
	keys   map[string]string // by the names A and B
	before map[string]s3test.Bucket
	batch  *s3control.Server
	// failing are the rules of failing tasks.
	failing [][]string
}

// storeCommand is `s3`, a transcript's command for its embedded store.
//
//	s3 start [PROFILE] [tls]        start it; AWS_… point to it, $KEY_A and $KEY_B are two KMS keys
//	s3 bucket NAME [SETTING…]       versioned suspended lock acls noimplicit website
//	s3 fill BUCKET N PREFIX [SSE [KEY]]   store N small objects
//	s3 put BUCKET KEY BODY [SSE [KEY]]    store one; more attributes as name=value
//	s3 remove BUCKET KEY            take away the current version, without a trace
//	s3 rules RULE                   set a fault rule (see fault.ParseRule)
//	s3 latency OP DURATION          make OP slow
//	s3 key NAME STATE               Enabled Disabled PendingDeletion Denied
//	s3 keydeny NAME [ACTION]        refuse the action on the key; none takes it back
//	s3 deny BUCKET ACTION [KEYS]    KEYS is a glob
//	s3 allow BUCKET                 take every deny back
//	s3 forget                       forget the requests so far
//	s3 sent OP N                    fail unless N requests of OP were received since
//	s3 untouched                    fail unless no object was written since
//	s3 is BUCKET SSE [KEY]          fail unless every current object is under it
//	s3 snapshot BUCKET / s3 same BUCKET   compare a bucket with a snapshot of it
//	s3 waituntil OP                 wait for the first request of OP
//	s3 holds BUCKET N               fail unless it holds N versions and markers and no upload
//	s3 stop
func storeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: s3 start|bucket|fill|put|… ARGS…")
	}
	st := ts.Value(scriptStoreKey{}).(*scriptStore)
	if args[0] == "start" {
		st.start(ts, args[1:])
		return
	}
	if st.server == nil {
		ts.Fatalf("s3 start comes first")
	}
	a := append(args, "", "", "", "", "") // optional arguments read as empty
	switch args[0] {
	case "bucket":
		st.server.CreateBucket(a[1], st.settings(ts, args[2:]))
	case "fill":
		n, err := strconv.Atoi(a[2])
		ts.Check(err)
		st.server.Fill(a[1], n, func(i int) string { return fmt.Sprintf("%s%06d", a[3], i) },
			s3test.Bytes("a small object\n"), s3test.Attrs{Encryption: st.encryption(ts, a[4], a[5])})
	case "put":
		st.put(ts, args[1:])
	case "remove":
		st.server.Remove(a[1], a[2], "")
		for _, o := range st.server.Snapshot(a[1]).Find(a[2]) {
			st.server.Remove(a[1], a[2], o.VersionID)
		}
	case "rules":
		ts.Check(st.server.SetRules(a[1]))
	case "latency":
		d, err := time.ParseDuration(a[2])
		ts.Check(err)
		st.server.SetLatency(map[string]time.Duration{a[1]: d})
	case "key":
		st.server.KMS.SetKeyState(st.keys[a[1]], kms.State(a[2]))
	case "keydeny":
		st.server.KMS.Deny(st.keys[a[1]], strings.Fields(a[2])...)
	case "deny":
		st.server.ConfigureBucket(a[1], func(c *s3test.BucketConfig) { c.Deny = append(c.Deny, s3test.Deny{Action: a[2], Keys: a[3]}) })
	case "allow":
		st.server.ConfigureBucket(a[1], func(c *s3test.BucketConfig) { c.Deny = nil })
	case "forget":
		st.server.ResetRequests()
	case "sent":
		if n, err := strconv.Atoi(a[2]); err != nil || st.sent(a[1]) != n {
			ts.Fatalf("%d requests of %s, want %s; all: %v", st.sent(a[1]), a[1], a[2], st.server.Counts())
		}
	case "untouched":
		st.untouched(ts)
	case "is":
		st.is(ts, a[1], st.encryption(ts, a[2], a[3]))
	case "snapshot":
		st.before[a[1]] = st.server.Snapshot(a[1])
	case "same":
		st.same(ts, a[1])
	case "waituntil":
		deadline := time.Now().Add(2 * time.Minute) // other tests are at work as well
		for st.server.Count(a[1]) == 0 {
			if time.Now().After(deadline) {
				ts.Fatalf("no request of %s came", a[1])
			}
			<-time.After(10 * time.Millisecond)
		}
	case "holds":
		b := st.server.Snapshot(a[1])
		if n, err := strconv.Atoi(a[2]); err != nil || len(b.Objects) != n || len(b.Uploads) > 0 {
			ts.Fatalf("%d versions and %d uploads in %s, want %s", len(b.Objects), len(b.Uploads), a[1], a[2])
		}
	case "stop":
		st.server.Close()
	default:
		ts.Fatalf("unknown: s3 %s", args[0])
	}
}

type scriptStoreKey struct{}

func (st *scriptStore) start(ts *testscript.TestScript, args []string) {
	cfg := s3test.Config{Seed: 1}
	for _, a := range args {
		if a == "tls" {
			cfg.TLS = true
			continue
		}
		p, ok := s3test.ProfileNamed(a)
		if !ok {
			ts.Fatalf("no profile %q", a)
		}
		cfg.Profile = p
	}
	server, err := s3test.Start(cfg)
	ts.Check(err)
	ts.Defer(server.Close)
	st.server = server
	st.keys = map[string]string{"A": server.KMS.CreateKey("alias/a"), "B": server.KMS.CreateKey("alias/b"), "M": server.KMS.CreateNamedKey("minio-key")}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": s3test.DefaultCredentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": s3test.DefaultCredentials.SecretAccessKey,
		"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": server.URL(), "ENDPOINT": server.URL(), "PLACE": server.URL()[strings.Index(server.URL(), "//")+2:],
		"AWS_ENDPOINT_URL_KMS": server.URL(), "KEY_A": st.keys["A"], "KEY_B": st.keys["B"],
	} {
		ts.Setenv(name, value)
	}
	if cfg.TLS {
		path := filepath.Join(ts.Getenv("WORK"), "ca.pem")
		ts.Check(os.WriteFile(path, server.CAPEM(), 0o600))
		ts.Setenv("AWS_CA_BUNDLE", path)
	}
}

func (st *scriptStore) settings(ts *testscript.TestScript, words []string) (c s3test.BucketConfig) {
	for _, w := range words {
		switch w {
		case "versioned":
			c.Versioning = "Enabled"
		case "suspended":
			c.Versioning = "Suspended"
		case "lock":
			c.Versioning, c.ObjectLock = "Enabled", true
		case "acls":
			c.Ownership = "ObjectWriter"
		case "website":
			c.Documents = map[string]string{"website": "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>"}
		default:
			name, value, _ := strings.Cut(w, "=")
			switch name {
			case "default": // the key, by its alias
				c.DefaultEncryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: value}
			case "replicates":
				c.Documents = map[string]string{"replication": "<ReplicationConfiguration><Role>r</Role><Rule><ID>copies</ID><Status>Enabled</Status><Destination><Bucket>arn:aws:s3:::d</Bucket><EncryptionConfiguration><ReplicaKmsKeyID>" +
					st.keys[value] + "</ReplicaKmsKeyID></EncryptionConfiguration></Destination></Rule></ReplicationConfiguration>"}
			case "inventories":
				c.Documents = map[string]string{"inventory": "<InventoryConfiguration><Id>daily</Id><Destination><S3BucketDestination><Bucket>arn:aws:s3:::d</Bucket><Encryption><SSE-KMS><KeyId>" +
					st.keys[value] + "</KeyId></SSE-KMS></Encryption></S3BucketDestination></Destination></InventoryConfiguration>"}
			default:
				ts.Fatalf("unknown setting %q", w)
			}
		}
	}
	return c
}

// encryption reads "sse-kms A": a kind and the name of a key.
func (st *scriptStore) encryption(ts *testscript.TestScript, sse, key string) (e object.Encryption) {
	if sse == "" {
		return object.Encryption{Type: object.SSENone}
	}
	var err error
	e.Type, err = object.ParseSSE(sse)
	ts.Check(err)
	if key != "" {
		e.KMSKeyID = st.keys[key]
	}
	return e
}

func (st *scriptStore) put(ts *testscript.TestScript, args []string) {
	var plain []string
	o := s3test.Object{}
	for _, a := range args {
		name, value, isAttr := strings.Cut(a, "=")
		switch {
		case isAttr && name == "class":
			o.StorageClass = value
		case isAttr && name == "tag":
			o.Tags = append(o.Tags, object.Tag{Key: "t", Value: value})
		case isAttr && name == "redirect":
			o.Redirect = value
		case isAttr && name == "hold":
			o.LegalHold = value == "on"
		case isAttr && name == "reader":
			o.Grants = append(o.Grants, object.Grant{ID: value, Permission: "READ"})
		default:
			plain = append(plain, a)
		}
	}
	plain = append(plain, "", "", "", "", "")
	o.Key, o.Body, o.Encryption = plain[1], s3test.Bytes(plain[2]), st.encryption(ts, plain[3], plain[4])
	st.server.Put(plain[0], o)
}

// sent counts the requests of an operation, but for those of the canary.
func (st *scriptStore) sent(op string) (n int) {
	for _, r := range st.server.Requests(op) {
		if !throwaways(&r) {
			n++
		}
	}
	return n
}

// throwaways says whether a request is about throwaway objects only. DeleteObjects
// names its keys in its body.
func throwaways(r *s3test.Request) bool {
	if r.Op != "DeleteObjects" {
		return strings.Contains(r.Key, ".reseal-canary-")
	}
	keys := strings.Count(string(r.Body), "<Key>")
	return keys > 0 && keys == strings.Count(string(r.Body), ".reseal-canary-")
}

// untouched fails where anything was written since `s3 forget`.
func (st *scriptStore) untouched(ts *testscript.TestScript) {
	for _, op := range []string{"PutObject", "CopyObject", "UploadPartCopy", "CreateMultipartUpload", "CompleteMultipartUpload",
		"UpdateObjectEncryption", "DeleteObject", "DeleteObjects", "PutObjectTagging", "PutObjectAcl", "PutObjectRetention", "PutObjectLegalHold"} {
		if n := st.sent(op); n > 0 {
			ts.Fatalf("%d requests of %s; nothing was to be touched", n, op)
		}
	}
}

func (st *scriptStore) is(ts *testscript.TestScript, bucket string, want object.Encryption) {
	n := 0
	for _, o := range st.server.Snapshot(bucket).Objects {
		if !o.Latest || o.DeleteMarker {
			continue
		}
		n++
		if o.Encryption.Type != want.Type || want.KMSKeyID != "" && o.Encryption.KMSKeyID != want.KMSKeyID {
			ts.Fatalf("%q is under %s %s", o.Key, o.Encryption.Type, o.Encryption.KMSKeyID)
		}
	}
	if n == 0 {
		ts.Fatalf("bucket %s is empty", bucket)
	}
}

// same fails where the bucket's current objects are not those of the snapshot,
// bytes and version IDs included, or where anything was left behind.
func (st *scriptStore) same(ts *testscript.TestScript, bucket string) {
	was, is := st.before[bucket], st.server.Snapshot(bucket)
	if len(was.Objects) != len(is.Objects) || len(is.Uploads) > 0 {
		ts.Fatalf("the bucket held %d versions and holds %d, and %d uploads", len(was.Objects), len(is.Objects), len(is.Uploads))
	}
	for i := range was.Objects {
		a, b := &was.Objects[i], &is.Objects[i]
		if a.Key != b.Key || a.VersionID != b.VersionID || a.ETag != b.ETag || !a.Body.Equal(b.Body) || a.Encryption != b.Encryption {
			ts.Fatalf("%q is not what it was: %+v, was %+v", b.Key, b, a)
		}
	}
}

// waitfor FILE TEXT waits until the file holds the text, for background runs.
func waitfor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE TEXT")
	}
	deadline := time.Now().Add(2 * time.Minute) // other tests are at work as well
	for {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(data), args[1]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never held %q; it holds %q (%v)", args[0], args[1], data, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// scrape LOG FILE fetches the metrics from the address that the log tells.
func scrape(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: scrape LOG FILE")
	}
	_, rest, found := strings.Cut(ts.ReadFile(args[0]), `msg="serving metrics" address=`)
	if !found {
		ts.Fatalf("%s tells no address", args[0])
	}
	address, _, _ := strings.Cut(rest, "\n")
	reply, err := http.Get("http://" + address + "/metrics")
	ts.Check(err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), body, 0o600))
}
