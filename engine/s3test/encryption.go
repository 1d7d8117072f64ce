package s3test

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"

	"github.com/resealhq/reseal/engine/object"
)

const (
	hSSE        = "x-amz-server-side-encryption"
	hKMSKey     = hSSE + "-aws-kms-key-id"
	hContext    = hSSE + "-context"
	hBucketKey  = hSSE + "-bucket-key-enabled"
	hCustomer   = hSSE + "-customer-"
	hCopySource = "x-amz-copy-source"
	hSourceSSEC = hCopySource + "-server-side-encryption-customer-"
)

// encryption is what a write is to be encrypted with.
type encryption struct {
	object.Encryption
	context     string
	customerKey string
	echo        [2]string
	explicit    bool // by headers, not by default
}

func (e *encryption) into(a *Attrs) {
	a.Encryption, a.Context, a.customerKey, a.echo = e.Encryption, e.context, e.customerKey, e.echo
}

// encryptionFor reads the headers of a write, or takes the bucket's default.
func (s *Server) encryptionFor(q *request, b *bucket) (e encryption, err *s3Error) {
	switch s.profile.Encryption {
	case EncryptNothing:
		e.Type = object.SSENone
		return e, nil
	case EncryptEcho:
		e.Type, e.echo = object.SSENone, [2]string{q.h(hSSE), q.h(hKMSKey)}
		e.explicit = q.has(hSSE)
		return e, nil
	}
	if q.has(hCustomer + "algorithm") {
		return s.customerEncryption(q, b)
	}
	if q.has(hCustomer+"key") || q.has(hCustomer+"key-md5") {
		return e, errInvalidArgument("Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.")
	}
	if q.has(hSSE) {
		e.explicit = true
		return e, s.namedEncryption(q, b, &e)
	}
	if q.has(hKMSKey) || q.has(hContext) {
		return e, errInvalidArgument("Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
	}
	return e, s.defaultEncryption(q, b, &e)
}

func (s *Server) namedEncryption(q *request, b *bucket, e *encryption) *s3Error {
	switch q.h(hSSE) {
	case "AES256":
		e.Type = object.SSES3
		if s.profile.RefusesAES256 {
			return errInvalidArgument("")
		}
		if s.profile.PutIgnoresAES256 {
			e.Type = object.SSENone
		}
		if q.has(hKMSKey) {
			return errInvalidArgument("Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
		}
		return nil
	case "aws:kms":
		e.Type = object.SSEKMS
	case "aws:kms:dsse":
		if s.profile.NoDSSE {
			return errInvalidArgument("The encryption method specified is not supported")
		}
		e.Type = object.DSSEKMS
	default:
		return errInvalidArgument("The encryption method specified is not supported")
	}
	e.context = q.h(hContext)
	switch v := q.h(hBucketKey); v {
	case "":
		d := b.cfg.DefaultEncryption
		e.BucketKey = d.Type == object.SSEKMS && d.BucketKey
	default:
		e.BucketKey = v == "true"
	}
	return s.resolveKey(q.h(hKMSKey), b, e)
}

// resolveKey asks KMS for the key and gives it the form in which the store
// shows it.
func (s *Server) resolveKey(name string, b *bucket, e *encryption) *s3Error {
	if e.Type == object.DSSEKMS || s.profile.IgnoresBucketKey {
		e.BucketKey = false
	}
	if name == "" {
		if s.profile.KMSNeedsKey {
			return errInvalidArgument("Server Side Encryption with KMS managed key requires HTTP header x-amz-server-side-encryption-aws-kms-key-id")
		}
		if name = b.cfg.DefaultEncryption.KMSKeyID; name == "" {
			name = "alias/aws/s3"
		}
	}
	arn, err := s.useKey(s.region(b), name, "GenerateDataKey")
	switch {
	case err != nil && err.code == "KMS.NotFoundException" && s.profile.UnknownKeyIsInvalid:
		return errInvalidArgument("Failed to retrieve the actual key, kms-keyid: " + name)
	case err != nil && err.code == "KMS.NotFoundException" && s.profile.UnknownKeyIs403:
		return fail(http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	case err != nil && err.code == "KMS.NotFoundException" && s.profile.UnknownKeyIsMinIO:
		return fail(http.StatusBadRequest, "kms:KeyNotFound", "key with given key ID does not exist")
	case err != nil:
		return err
	}
	e.KMSKeyID = arn
	switch {
	case s.profile.KeyAsGiven:
		e.KMSKeyID = name
	case s.profile.KeyMinIO:
		e.KMSKeyID = "arn:aws:kms:" + afterKey(arn)
	}
	return nil
}

func (s *Server) defaultEncryption(q *request, b *bucket, e *encryption) *s3Error {
	d := b.cfg.DefaultEncryption
	switch {
	case d.Type.KMS():
		e.Type, e.BucketKey = d.Type, d.BucketKey
		if q.has(hBucketKey) {
			e.BucketKey = q.h(hBucketKey) == "true"
		}
		return s.resolveKey(d.KMSKeyID, b, e)
	case d.Type == object.SSEUnknown && s.profile.NoImplicitSSE:
		e.Type = object.SSENone
	default:
		e.Type = object.SSES3
	}
	return nil
}

func (s *Server) customerEncryption(q *request, b *bucket) (e encryption, err *s3Error) {
	if q.has(hSSE) {
		return e, errInvalidArgument("Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
	}
	if e.customerKey, e.CustomerKeyMD5, err = s.customerKey(q, hCustomer); err != nil {
		return e, err
	}
	if b.cfg.BlockSSEC {
		return e, errAccessDenied("The bucket blocks server-side encryption with customer-provided keys (SSE-C).")
	}
	e.Type, e.explicit = object.SSEC, true
	return e, nil
}

// customerKey reads and checks the three headers of an SSE-C key.
func (s *Server) customerKey(q *request, prefix string) (key, sum string, err *s3Error) {
	if !q.tls && !s.profile.SSECOverHTTP {
		return "", "", errInvalidRequest("Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.")
	}
	if a := q.h(prefix + "algorithm"); a != "AES256" {
		return "", "", fail(http.StatusBadRequest, "InvalidEncryptionAlgorithmError", "The Encryption request you specified is not valid. Supported value: AES256.").
			with("ArgumentName", hSSE).with("ArgumentValue", a)
	}
	key, sum = q.h(prefix+"key"), q.h(prefix+"key-md5")
	if key == "" {
		return "", "", errInvalidArgument("Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.").with("ArgumentName", hSSE)
	}
	raw, bad := base64.StdEncoding.DecodeString(key)
	if bad != nil || len(raw) != 32 || sum == "" {
		return "", "", errInvalidArgument("The secret key was invalid for the specified algorithm.").with("ArgumentName", hSSE)
	}
	if got := md5.Sum(raw); base64.StdEncoding.EncodeToString(got[:]) != sum {
		return "", "", errInvalidArgument("The calculated MD5 hash of the key did not match the hash that was provided.").with("ArgumentName", hSSE)
	}
	return key, sum, nil
}

// mayRead checks the customer key that a read sends against the object's.
func (s *Server) mayRead(q *request, a *Attrs, prefix string) *s3Error {
	if s.profile.Encryption != EncryptAWS {
		return nil
	}
	sent := q.has(prefix + "algorithm")
	if a.Encryption.Type != object.SSEC {
		if sent {
			return errInvalidRequest("The encryption parameters are not applicable to this object.")
		}
		return nil
	}
	if !sent {
		return errInvalidRequest("The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	}
	const wrong = "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."
	if q.h(prefix+"algorithm") == "AES256" && q.h(prefix+"key") != "" && q.h(prefix+"key-md5") == "" {
		return errAccessDenied(wrong) // a write without the digest is refused as malformed instead
	}
	key, _, err := s.customerKey(q, prefix)
	if err != nil {
		return err
	}
	if key != a.customerKey {
		return errAccessDenied(wrong)
	}
	return nil
}

// showEncryption sets the reply headers that tell the encryption.
func showEncryption(r *reply, a *Attrs) {
	if a.echo[0] != "" {
		r.set(hSSE, a.echo[0])
		r.set(hKMSKey, a.echo[1])
		return
	}
	e := a.Encryption
	if e.Type == object.SSEC {
		r.set(hCustomer+"algorithm", "AES256")
		r.set(hCustomer+"key-md5", e.CustomerKeyMD5)
		return
	}
	r.set(hSSE, e.Type.Header())
	if e.Type.KMS() {
		r.set(hKMSKey, e.KMSKeyID)
		if e.BucketKey {
			r.set(hBucketKey, "true")
		}
	}
}

// etagFor is the ETag of content written in one piece.
func (s *Server) etagFor(a *Attrs, c *Content) string {
	switch a.Encryption.Type {
	case object.SSENone, object.SSES3, object.SSEUnknown:
		return c.MD5()
	}
	if s.profile.KMSETagIsMD5 {
		return c.MD5()
	}
	return s.ids.etag()
}
