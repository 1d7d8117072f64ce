package s3test

import (
	"net/http"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// useKey asks KMS for a request to S3, and tells its refusal in S3's words.
func (s *Server) useKey(region, name, op string) (arn string, e *s3Error) {
	arn, err := s.KMS.Use(region, name, op)
	switch {
	case err == nil:
		return arn, nil
	case err.Code == "AccessDeniedException":
		return "", errAccessDenied(err.Message)
	}
	return "", fail(http.StatusBadRequest, "KMS."+err.Code, err.Message)
}

// readable checks that S3 may decrypt what is under e.
func (s *Server) readable(e object.Encryption) *s3Error {
	if !e.Type.KMS() || s.profile.Encryption != EncryptAWS || e.BucketKey && s.cfg.KeepsBucketKeys {
		return nil
	}
	region := s.KMS.Region()
	if part := strings.Split(e.KMSKeyID, ":"); len(part) == 6 { // of the bucket's own region
		region = part[3]
	}
	_, err := s.useKey(region, e.KMSKeyID, "Decrypt")
	return err
}

// kmsRequest is a request to KMS itself, on the same endpoint.
func (s *Server) kmsRequest(q *request) (*reply, *s3Error) {
	region := ""
	if h, ok := ParseAWSHost(q.http.Host); ok {
		region = h.Region
	}
	doc, err := s.KMS.Serve(strings.TrimPrefix(q.op, kmsOperation), q.id, region, q.body)
	if err != nil {
		return nil, fail(err.Status, err.Code, err.Message)
	}
	return kmsReply(doc), nil
}

// kmsOperation begins the names of KMS's operations among S3's.
const kmsOperation = "KMS."

func kmsReply(document []byte) *reply {
	r := &reply{body: document}
	r.set("Content-Type", kms.ContentType)
	return r
}

// kmsError is an error in KMS's own protocol.
func kmsError(e *s3Error) *reply {
	r := kmsReply((&kms.Error{Status: e.status, Code: e.code, Message: e.message}).Document())
	r.status = e.status
	return r
}

// callerIdentity answers STS GetCallerIdentity.
func (s *Server) callerIdentity(q *request) (*reply, *s3Error) {
	if !strings.Contains(string(q.body), "Action=GetCallerIdentity") {
		return nil, fail(http.StatusBadRequest, "InvalidAction", "Could not find the operation.")
	}
	account := q.account(s.cfg.Account)
	var x xmlDoc
	x.buf.WriteString(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`)
	x.el("Arn", "arn:"+kms.Partition(s.cfg.Region)+":iam::"+account+":user/s3test")
	x.el("UserId", "AIDAS3TEST")
	x.el("Account", account)
	x.close("GetCallerIdentityResult")
	x.buf.WriteString("<ResponseMetadata>")
	x.el("RequestId", q.id)
	x.buf.WriteString("</ResponseMetadata></GetCallerIdentityResponse>")
	r := &reply{body: x.buf.Bytes()}
	r.set("Content-Type", "text/xml")
	return r, nil
}
