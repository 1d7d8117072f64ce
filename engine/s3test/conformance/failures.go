package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

var errorChecks = []check{
	{name: "errors", run: ordinaryErrors},
	{name: "errors of credentials", run: credentialErrors},
	{name: "errors of KMS keys", run: keyErrors},
	{name: "errors of KMS key states", needs: isEmbedded, run: keyStates},
	{name: "errors of archived and large objects", needs: isEmbedded, run: archivedAndLarge},
	{name: "errors of permission", bucket: bucketOptions{versioned: true, locks: true}, run: permissions},
	{name: "errors without a store", run: noStore},
	{name: "errors without a KMS", needs: func(s *Server) bool { return s.Name == minioKES }, run: noKMS},
	{name: "errors of trust", needs: hasTLS, run: untrusted},
	{name: "cancelled", run: cancelled},
}

var noKey = object.CustomerKey{}

func ordinaryErrors(e *env) {
	s := e.put("k", "x")
	_, err := e.store.Head(e.ctx(), e.ref("nobody"), noKey)
	e.fact("head of no object", "gone", e.outcome(err))
	e.told(err, http.StatusNotFound)
	_, err = e.reseal("nobody", "", toSSES3)
	e.fact("copy of no object", "gone", e.outcome(err))
	e.told(err, http.StatusNotFound)

	nowhere := object.Ref{Bucket: "reseal-no-such-bucket", Key: "k"}
	_, err = e.store.ListPage(e.ctx(), object.ListRequest{Bucket: nowhere.Bucket})
	e.fact("list of no bucket", "no-bucket", e.outcome(err))
	_, err = e.store.Copy(e.ctx(), &object.CopyRequest{Source: e.ref("k"), Dest: nowhere, Target: toSSES3})
	e.fact("copy to no bucket", "no-bucket", e.outcome(err))
	_, err = e.store.Copy(e.ctx(), &object.CopyRequest{Source: nowhere, Dest: e.ref("k"), Target: toSSES3})
	e.fact("copy from no bucket", "no-bucket", e.outcome(err))
	_, _, err = e.store.CreateUpload(e.ctx(), &object.CopyRequest{Source: e.ref("k"), Dest: nowhere, Target: toSSES3})
	e.fact("upload to no bucket", "no-bucket", e.outcome(err))

	_, err = e.store.Head(e.ctx(), e.ref(strings.Repeat("k", 1025)), noKey)
	e.fact("head of a key of 1025 bytes", "invalid", e.outcome(err))
	_, err = e.reseal("k", s.etag, toSSES3, func(r *object.CopyRequest) { r.StorageClass = "NO_SUCH_CLASS" })
	e.fact("copy to a class that does not exist", "invalid", e.outcome(err))
	_, err = e.reseal("k", s.etag, nil)
	e.fact("copy onto itself that changes nothing", "invalid", e.outcome(err))
	_, err = e.store.Copy(e.ctx(), &object.CopyRequest{Source: e.version("k", "not a version"), Dest: e.ref("k"), Target: toSSES3})
	e.fact("copy of a version whose ID is malformed", "invalid", e.outcome(err))
	e.holds(e.ref("k"), noKey, "x")
}

// told asserts what every answered error carries.
func (e *env) told(err error, status int) {
	e.Helper()
	var oe *object.Error
	if !errors.As(err, &oe) || oe.HTTPStatus != status || oe.RequestID == "" || oe.NotSent {
		e.Errorf("status, request ID or NotSent: %#v", oe)
	}
}

// credentialErrors: each way in which the store does not take the requester,
// also where HEAD has no body to tell.
func credentialErrors(e *env) {
	e.put("k", "x")
	for name, change := range map[string]func(*Login){
		"a wrong secret":        func(l *Login) { l.SecretKey = "wrong-secret-key" },
		"an unknown access key": func(l *Login) { l.AccessKey = "AKIDNOBODYKNOWS" },
		"a made-up token":       func(l *Login) { l.SessionToken = "made-up" },
	} {
		login := e.srv.Login
		change(&login)
		store := e.opener(e.T, login)
		_, err := store.ListPage(e.ctx(), object.ListRequest{Bucket: e.bucket})
		e.fact(name+", list", "credentials", e.outcome(err))
		_, err = store.Copy(e.ctx(), &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), Target: toSSES3})
		e.fact(name+", copy", "credentials", e.outcome(err))
		_, err = store.Head(e.ctx(), e.ref("k"), noKey)
		e.fact(name+", head", "credentials", e.outcome(err))
		if strings.Contains(err.Error(), login.SecretKey) {
			e.Errorf("the error shows the secret: %v", err)
		}
	}
}

// keyErrors: a KMS key that does not exist.
func keyErrors(e *env) {
	s := e.put("k", "x")
	nobodys := &object.Target{SSE: object.SSEKMS, KMSKeyID: "11111111-2222-4333-8444-555555555555"}
	_, err := e.reseal("k", s.etag, nobodys)
	e.fact("copy to an unknown key", "kms-key", e.outcome(err))
	_, _, err = e.store.CreateUpload(e.ctx(), &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), Target: nobodys})
	e.fact("upload to an unknown key", "kms-key", e.outcome(err))
	e.holds(e.ref("k"), noKey, "x")
	_, err = e.reseal("k", s.etag, &object.Target{SSE: object.SSEKMS})
	e.fact("copy to the default key", "done", e.outcome(err))
	if err == nil {
		if h := e.head(e.ref("k"), noKey); h.Encryption.Type != object.SSEKMS || h.Encryption.KMSKeyID == "" {
			e.Errorf("under %+v", h.Encryption)
		}
	}
}

// keyStates: keys that exist and cannot be used, as target and as source. A source's
// key is a matter of that one object.
func keyStates(e *env) {
	keys := e.srv.Embedded.KMS
	for _, state := range []struct {
		is   kms.State
		want string
	}{
		{kms.Disabled, "kms-key"},
		{kms.PendingDeletion, "kms-key"},
		{kms.WrongUsage, "kms-key"},
		{kms.Denied, "denied"},
	} {
		key := keys.CreateKey()
		target := &object.Target{SSE: object.SSEKMS, KMSKeyID: key, ShownKeyID: key}
		s := e.put("source "+string(state.is), "x", under(target))
		p := e.put("plain "+string(state.is), "x")
		keys.SetKeyState(key, state.is)
		_, err := e.reseal("plain "+string(state.is), p.etag, target)
		e.fact("copy to a key that is "+string(state.is), state.want, e.outcome(err))
		_, err = e.reseal("source "+string(state.is), s.etag, toSSES3)
		e.fact("copy from a key that is "+string(state.is), "denied", e.outcome(err))
	}
}

// archivedAndLarge: what no copy takes.
func archivedAndLarge(e *env) {
	s := e.put("archived", "x", func(in *s3.PutObjectInput) { in.StorageClass = types.StorageClassGlacier })
	if h, err := e.store.Head(e.ctx(), e.ref("archived"), noKey); err != nil || !h.Archived() {
		e.Errorf("%+v, %v", h, err)
	}
	_, err := e.reseal("archived", s.etag, toSSES3)
	e.fact("copy of an archived object", "archived", e.outcome(err))
	_, err = e.open(e.ref("archived"), noKey, "")
	e.fact("get of an archived object", "archived", e.outcome(err))

	// One byte more than CopyObject takes: S3 says InvalidRequest, as for a dozen
	// other reasons, which is why the engine goes by the size and not by this.
	const limit = 5_368_709_120
	e.srv.Embedded.Put(e.bucket, s3test.Object{Key: "large", Body: s3test.Synthetic(1, limit+1)})
	_, err = e.reseal("large", "", toSSES3)
	e.fact("copy of an object that is too large", "invalid", e.outcome(err))
	e.srv.Embedded.Put(e.bucket, s3test.Object{Key: "just", Body: s3test.Synthetic(1, limit)})
	_, err = e.reseal("just", "", toSSES3)
	e.fact("copy of the largest object", "done", e.outcome(err))
}

// permissions: what is forbidden is denied, and never looks like "there is none":
// a lock or tags that may not be read are an error.
func permissions(e *env) {
	s := e.put("k", "x", everything)
	e.must(e.store.PutLock(e.ctx(), e.ref("k"), "GOVERNANCE", retainUntil, true))
	store := e.opener(e.T, e.forbidden("s3:GetObjectTagging", "s3:GetObjectRetention", "s3:GetObjectLegalHold"))
	_, err := store.Tags(e.ctx(), e.ref("k"))
	e.fact("tags that may not be read", "denied", e.outcome(err))
	_, _, _, err = store.Lock(e.ctx(), e.ref("k"))
	e.fact("a lock that may not be read", "denied", e.outcome(err))
	h, err := store.Head(e.ctx(), e.ref("k"), noKey)
	e.must(err)
	e.fact("lock as HEAD then shows it", "", h.LockMode)

	store = e.opener(e.T, e.forbidden("s3:PutObject"))
	copied := &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: s.etag, Target: toSSES3}
	_, err = store.Copy(e.ctx(), copied)
	e.fact("copy", "denied", e.outcome(err))
	_, _, err = store.CreateUpload(e.ctx(), copied)
	e.fact("upload", "denied", e.outcome(err))

	store = e.opener(e.T, e.forbidden("s3:GetObject", "s3:GetObjectVersion"))
	_, err = store.Head(e.ctx(), e.ref("k"), noKey)
	e.fact("head", "denied", e.outcome(err))
	_, err = store.Open(e.ctx(), e.ref("k"), noKey, "")
	e.fact("get", "denied", e.outcome(err))

	store = e.opener(e.T, e.forbidden("s3:ListBucket", "s3:ListBucketVersions"))
	_, err = store.ListPage(e.ctx(), object.ListRequest{Bucket: e.bucket})
	e.fact("list", "denied", e.outcome(err))
	e.holds(e.ref("k"), noKey, "x")
}

// forbidden is a login that may do anything but these actions on the bucket of
// the check: a denial in the bucket's policy, or MinIO's session with a policy.
func (e *env) forbidden(actions ...string) Login {
	e.Helper()
	if e.srv.Embedded != nil {
		e.srv.Embedded.ConfigureBucket(e.bucket, func(c *s3test.BucketConfig) {
			c.Deny = nil
			for _, a := range actions {
				c.Deny = append(c.Deny, s3test.Deny{Action: a})
			}
		})
		e.Cleanup(func() { e.srv.Embedded.ConfigureBucket(e.bucket, func(c *s3test.BucketConfig) { c.Deny = nil }) })
		return e.srv.Login
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*"},`+
		`{"Effect":"Deny","Action":["%s"],"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`, strings.Join(actions, `","`), e.bucket, e.bucket)
	client := sts.New(sts.Options{BaseEndpoint: &e.srv.Endpoint, Region: e.srv.Region, HTTPClient: e.client.Options().HTTPClient,
		Credentials: e.client.Options().Credentials})
	out, err := client.AssumeRole(e.ctx(), &sts.AssumeRoleInput{Policy: &policy,
		RoleArn: aws.String("arn:aws:iam::111122223333:role/any"), RoleSessionName: aws.String("conformance")})
	e.must(err)
	login := e.srv.Login
	login.AccessKey, login.SecretKey, login.SessionToken = *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken
	return login
}

// noStore: a store that is away applied nothing, and comes back.
func noStore(e *env) {
	s := e.put("k", "x")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	e.must(err)
	login := e.srv.Login
	login.Endpoint = strings.Replace(e.srv.Endpoint, strings.TrimPrefix(strings.TrimPrefix(e.srv.Endpoint, "http://"), "https://"), l.Addr().String(), 1)
	l.Close()
	store := e.opener(e.T, login)
	_, err = store.Copy(e.ctx(), &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), Target: toSSES3})
	if got := e.outcome(err); got != "unreachable" || !object.ClassOf(err).Retryable() {
		e.Errorf("nobody listens: %s, %v", got, err)
	}
	var oe *object.Error
	if errors.As(err, &oe) && !oe.NotSent {
		e.Error("a request that found no connection is not marked as not sent")
	}

	if err := e.srv.restart(e.ctx()); err != nil {
		e.Fatal(err)
	}
	// Connections from before are dead now: the first request may find that out.
	for range 50 {
		if _, err = e.reseal("k", s.etag, e.toKMS(0)); err == nil {
			break
		}
		if class := object.ClassOf(err); !class.Retryable() {
			e.Fatalf("after a restart: %v", err)
		}
	}
	e.must(err)
	e.holds(e.ref("k"), noKey, "x")
}

// restart kills the server and starts it again.
func (s *Server) restart(ctx context.Context) error {
	if s.Real != nil {
		s.Real.Kill()
		return s.Real.Restart(ctx)
	}
	s.Embedded.Kill()
	return s.Embedded.Restart()
}

// noKMS: without its KMS a store can do nothing for now; that is not the key's
// fault, so the run must not stop for it.
func noKMS(e *env) {
	s := e.put("k", "x")
	e.srv.Real.KillKMS()
	_, err := e.reseal("k", s.etag, e.toKMS(1))
	got := e.outcome(err)
	if !object.ClassOf(err).Retryable() {
		e.Errorf("without KES: %s, %v", got, err)
	}
	e.must(e.srv.Real.RestartKMS(e.ctx()))
	for range 50 {
		if _, err = e.reseal("k", s.etag, e.toKMS(1)); err == nil || !object.ClassOf(err).Retryable() {
			break
		}
	}
	e.must(err)
}

// untrusted: a certificate that nobody vouches for is not a store that is away.
func untrusted(e *env) {
	login := e.srv.Login
	login.CAFile = ""
	store := e.opener(e.T, login)
	_, err := store.Copy(e.ctx(), &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), Target: toSSES3})
	var oe *object.Error
	if !errors.As(err, &oe) || oe.Class.Retryable() || !oe.NotSent || oe.Hint == "" {
		e.Errorf("%#v", err)
	}
}

// cancelled: a context that ended is nobody's failure.
func cancelled(e *env) {
	s := e.put("k", "x")
	ctx, cancel := context.WithCancel(e.ctx())
	cancel()
	_, err := e.store.Copy(ctx, &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: s.etag, Target: toSSES3})
	if got := e.outcome(err); got != "canceled" {
		e.Errorf("%s, %v", got, err)
	}
	_, err = e.store.Head(ctx, e.ref("k"), noKey)
	if got := e.outcome(err); got != "canceled" {
		e.Errorf("%s, %v", got, err)
	}
	if h := e.look(e.ref("k"), noKey); strings.Trim(aws.ToString(h.ETag), `"`) != s.etag {
		e.Error("a request whose context had ended was applied")
	}
	if e.srv.Embedded == nil {
		return
	}
	e.must(e.srv.Embedded.SetRules(`(If Copy Stalled)`))
	defer e.srv.Embedded.SetRules("")
	ctx, cancel = context.WithTimeout(e.ctx(), 100*time.Millisecond)
	defer cancel()
	_, err = e.store.Copy(ctx, &object.CopyRequest{Source: e.ref("k"), Dest: e.ref("k"), SourceETag: s.etag, Target: toSSES3})
	// A deadline is the engine's own: the request hung, and may come through yet.
	if got := e.outcome(err); got != "transient" || !object.ClassOf(err).Ambiguous() {
		e.Errorf("a request that hung: %s, %v", got, err)
	}
}
