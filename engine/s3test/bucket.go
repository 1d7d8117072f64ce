package s3test

import (
	"encoding/xml"
	"maps"
	"net/http"
	"slices"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test/fault"
)

func (s *Server) owner(b *bucket) string {
	if b.cfg.Owner != "" {
		return b.cfg.Owner
	}
	return s.cfg.Account
}

// bucketOf finds the bucket that a request names.
func (s *Server) bucketOf(q *request) (*bucket, *s3Error) {
	if b := s.buckets[q.bucket]; b != nil {
		return b, nil
	}
	return nil, errNoSuchBucket(q.bucket)
}

// guard refuses what the bucket's owner does not allow: another expected owner,
// denied actions, requests that nobody pays.
func (s *Server) guard(q *request, action string) *s3Error {
	b := s.buckets[q.bucket]
	if b == nil {
		return nil
	}
	if own := q.h("x-amz-expected-bucket-owner"); own != "" && own != s.owner(b) && !s.profile.IgnoresExpectedOwner {
		return errAccessDenied("")
	}
	if b.cfg.RequesterPays && q.h("x-amz-request-payer") != "requester" && q.account(s.owner(b)) != s.owner(b) {
		return errAccessDenied("")
	}
	if q.signed != nil && q.signed.service == "s3" && q.signed.region != s.region(b) && q.op != "GetBucketLocation" && q.op != "HeadBucket" {
		e := fail(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region '"+q.signed.region+"' is wrong; expecting '"+s.region(b)+"'")
		e.extra = map[string]string{"x-amz-bucket-region": s.region(b)}
		return e
	}
	if e := s.elsewhere(q, b); e != nil && q.op != "GetBucketLocation" {
		return e
	}
	if action != "" && !s.allowed(b, action, q.key) {
		return errAccessDenied("")
	}
	return nil
}

// allowed says whether no Deny refuses the action.
func (s *Server) allowed(b *bucket, action, key string) bool {
	for _, d := range b.cfg.Deny {
		if d.Action == action && (d.Keys == "" || fault.MatchGlob(d.Keys, key)) {
			return false
		}
	}
	return true
}

func (s *Server) region(b *bucket) string {
	if b.cfg.Region != "" {
		return b.cfg.Region
	}
	return s.cfg.Region
}

func (s *Server) listBuckets(q *request) (*reply, *s3Error) {
	x := newXML("ListAllMyBucketsResult")
	x.open("Buckets")
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		x.open("Bucket")
		x.el("Name", name)
		x.time("CreationDate", s.buckets[name].created)
		x.close("Bucket")
	}
	x.close("Buckets")
	x.open("Owner")
	x.el("ID", canonicalID(s.cfg.Account))
	x.close("Owner")
	return x.reply(), nil
}

func (s *Server) createBucket(q *request) (*reply, *s3Error) {
	if s.buckets[q.bucket] != nil {
		return nil, fail(http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	}
	var in struct{ LocationConstraint string }
	if len(q.body) > 0 && xml.Unmarshal(q.body, &in) != nil {
		return nil, errMalformedXML()
	}
	cfg := BucketConfig{Region: in.LocationConstraint, Ownership: q.h("x-amz-object-ownership"),
		ObjectLock: q.h("x-amz-bucket-object-lock-enabled") == "true"}
	if cfg.ObjectLock {
		cfg.Versioning = "Enabled"
	}
	s.addBucket(q.bucket, cfg)
	r := &reply{}
	r.set("Location", "/"+q.bucket)
	return r, nil
}

func (s *Server) headBucket(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	r := &reply{}
	r.set("x-amz-bucket-region", s.region(b))
	r.set("x-amz-access-point-alias", "false")
	return r, nil
}

func (s *Server) deleteBucket(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	if b.keys.n > 0 {
		return nil, fail(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty")
	}
	delete(s.buckets, q.bucket)
	return &reply{status: http.StatusNoContent}, nil
}

func (s *Server) bucketLocation(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	x := newXML("LocationConstraint")
	if r := s.region(b); r != "us-east-1" {
		x.text(r)
	}
	return x.reply(), nil
}

func (s *Server) getVersioning(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	x := newXML("VersioningConfiguration")
	x.opt("Status", b.cfg.Versioning)
	return x.reply(), nil
}

func (s *Server) putVersioning(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	if s.profile.NoVersioning {
		return nil, fail(http.StatusConflict, "BucketAlreadyExists", "The requested bucket name is not available.")
	}
	var in struct{ Status string }
	if xml.Unmarshal(q.body, &in) != nil || in.Status != "Enabled" && in.Status != "Suspended" {
		return nil, errMalformedXML()
	}
	if b.cfg.ObjectLock && in.Status == "Suspended" {
		return nil, fail(http.StatusConflict, "InvalidBucketState", "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	}
	b.cfg.Versioning = in.Status
	return &reply{}, nil
}

func (s *Server) getPayment(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	x := newXML("RequestPaymentConfiguration")
	payer := "BucketOwner"
	if b.cfg.RequesterPays {
		payer = "Requester"
	}
	x.el("Payer", payer)
	return x.reply(), nil
}

func (s *Server) putPayment(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	var in struct{ Payer string }
	if xml.Unmarshal(q.body, &in) != nil {
		return nil, errMalformedXML()
	}
	b.cfg.RequesterPays = in.Payer == "Requester"
	return &reply{}, nil
}

func (s *Server) getOwnership(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	if b.cfg.Ownership == "none" {
		return nil, fail(http.StatusNotFound, "OwnershipControlsNotFoundError", "The bucket ownership controls were not found")
	}
	x := newXML("OwnershipControls")
	x.open("Rule")
	if b.enforced() || b.cfg.Ownership == unasked {
		x.el("ObjectOwnership", "BucketOwnerEnforced")
	} else {
		x.el("ObjectOwnership", b.cfg.Ownership)
	}
	x.close("Rule")
	return x.reply(), nil
}

func (s *Server) putOwnership(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	if q.http.Method == http.MethodDelete {
		b.cfg.Ownership = "none"
		return &reply{status: http.StatusNoContent}, nil
	}
	var in struct {
		Rule struct{ ObjectOwnership string }
	}
	if xml.Unmarshal(q.body, &in) != nil || in.Rule.ObjectOwnership == "" {
		return nil, errMalformedXML()
	}
	b.cfg.Ownership = in.Rule.ObjectOwnership
	return &reply{}, nil
}

// encryptionConfig is the document of ?encryption on a bucket.
type encryptionConfig struct {
	XMLName xml.Name `xml:"ServerSideEncryptionConfiguration"`
	Rules   []struct {
		Default *struct {
			SSEAlgorithm   string
			KMSMasterKeyID string
		} `xml:"ApplyServerSideEncryptionByDefault"`
		BucketKeyEnabled bool
		Blocked          []string `xml:"BlockedEncryptionTypes>EncryptionType"`
	} `xml:"Rule"`
}

func (s *Server) getBucketEncryption(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	d := b.cfg.DefaultEncryption
	if d.Type == object.SSEUnknown && s.profile.NoImplicitSSE {
		return nil, fail(http.StatusNotFound, "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found")
	}
	algorithm := d.Type.Header()
	if algorithm == "" {
		algorithm = "AES256"
	}
	x := newXML("ServerSideEncryptionConfiguration")
	x.open("Rule")
	x.open("ApplyServerSideEncryptionByDefault")
	x.el("SSEAlgorithm", algorithm)
	x.opt("KMSMasterKeyID", d.KMSKeyID)
	x.close("ApplyServerSideEncryptionByDefault")
	x.bool("BucketKeyEnabled", d.BucketKey)
	if b.cfg.BlockSSEC {
		x.open("BlockedEncryptionTypes")
		x.el("EncryptionType", "SSE-C")
		x.close("BlockedEncryptionTypes")
	}
	x.close("Rule")
	return x.reply(), nil
}

func (s *Server) putBucketEncryption(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	var in encryptionConfig
	if xml.Unmarshal(q.body, &in) != nil || len(in.Rules) != 1 {
		return nil, errMalformedXML()
	}
	rule := in.Rules[0]
	var d object.Encryption
	if rule.Default != nil {
		t, err := object.ParseSSE(rule.Default.SSEAlgorithm)
		if err != nil || t.Header() != rule.Default.SSEAlgorithm {
			return nil, errMalformedXML()
		}
		d.Type, d.KMSKeyID = t, rule.Default.KMSMasterKeyID
		if d.KMSKeyID != "" && !t.KMS() {
			return nil, errInvalidArgument("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse").
				with("ArgumentName", "ApplyServerSideEncryptionByDefault")
		}
	}
	d.BucketKey = rule.BucketKeyEnabled
	b.cfg.DefaultEncryption = d
	if len(rule.Blocked) > 0 {
		b.cfg.BlockSSEC = slices.Contains(rule.Blocked, "SSE-C")
	}
	return &reply{}, nil
}

func (s *Server) deleteBucketEncryption(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	b.cfg.DefaultEncryption, b.cfg.BlockSSEC = object.Encryption{}, false
	return &reply{status: http.StatusNoContent}, nil
}
