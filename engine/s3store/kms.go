package s3store

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/resealhq/reseal/engine/object"
)

// Key is what KMS tells about a key.
type Key struct {
	// ARN is the full one, which UpdateObjectEncryption wants and HEAD shows.
	ARN string
	// State as KMS names it: Enabled, Disabled, PendingDeletion …
	State string
	// Enabled is whether it can be used now.
	Enabled bool
	// Symmetric is whether it is a symmetric key for encryption, which S3 needs.
	Symmetric bool
	// Manager is AWS or CUSTOMER; the key of aws/s3 cannot be used across accounts.
	Manager string
	// Region that the key is in, from its ARN; it must be the bucket's.
	Region string
}

// ErrNoKMS is the cause where no KMS can be asked: the store is not AWS's, and
// AWS_ENDPOINT_URL_KMS names none.
var ErrNoKMS = errors.New("no KMS to ask")

// ResolveKey asks KMS (DescribeKey) for a key named by ID, ARN or alias. An alias
// without its prefix is not guessed at. A key that exists and cannot be used is
// no error here: see Key.Enabled.
//
// Off AWS it answers with ErrNoKMS unless AWS_ENDPOINT_URL_KMS names a KMS: the
// canary then shows what the store makes of the name.
func (s *Store) ResolveKey(ctx context.Context, idOrAlias string) (Key, error) {
	fail := &object.Error{Op: "DescribeKey", Class: object.ClassUnsupported, Code: "", Message: "", Err: ErrNoKMS}
	if !s.aws && os.Getenv("AWS_ENDPOINT_URL_KMS") == "" {
		fail.Message = "the key " + idOrAlias + " cannot be resolved here: the endpoint is not AWS's, and no KMS of its own is known"
		fail.Hint = "name the key as the store itself names it, or set AWS_ENDPOINT_URL_KMS"
		return Key{}, fail
	}
	client := kms.NewFromConfig(s.cfg, func(o *kms.Options) {
		o.RetryMaxAttempts = 1
		o.HTTPSignerV4 = byStoresClock{v4.NewSigner(), s}
		o.Region = regionOfKey(idOrAlias, s.keyRegion())
		o.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(s.retrieve))
	})
	out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(idOrAlias)})
	if err != nil {
		return Key{}, kmsError(ctx, idOrAlias, err)
	}
	m := out.KeyMetadata
	if m == nil || aws.ToString(m.Arn) == "" {
		return Key{}, &object.Error{Op: "DescribeKey", Class: object.ClassTransient, Message: "the answer has no ARN"}
	}
	return Key{ARN: *m.Arn, State: string(m.KeyState), Enabled: m.KeyState == types.KeyStateEnabled,
		Symmetric: m.KeySpec == types.KeySpecSymmetricDefault && m.KeyUsage == types.KeyUsageTypeEncryptDecrypt,
		Manager:   string(m.KeyManager), Region: regionOfKey(*m.Arn, "")}, nil
}

// byStoresClock signs with the store's time, where this machine's was refused.
type byStoresClock struct {
	*v4.Signer
	store *Store
}

// SignHTTP is what the SDK's clients call.
func (b byStoresClock) SignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, payloadHash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return b.Signer.SignHTTP(ctx, creds, r, payloadHash, service, region, b.store.Now(), opts...)
}

// keyRegion is where a key that does not name its region must be: with the bucket
// that was addressed last, which on AWS told its region itself.
func (s *Store) keyRegion() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.region != "" {
		return s.mu.region
	}
	return s.sdk.Region
}

// regionOfKey is the region in a key's ARN, or otherwise.
func regionOfKey(key, otherwise string) string {
	if part := strings.SplitN(key, ":", 6); len(part) == 6 && part[0] == "arn" && part[2] == "kms" && part[3] != "" {
		return part[3]
	}
	return otherwise
}

// kmsError brings an error of the KMS client into the one table.
func kmsError(ctx context.Context, key string, err error) error {
	var api smithy.APIError
	var resp *awshttp.ResponseError
	if !errors.As(err, &api) {
		var op *net.OpError
		var e *object.Error
		if errors.As(err, &op) || ctx.Err() != nil {
			e = FailedToSend("DescribeKey", object.Ref{}, ctx, err)
		} else {
			e = noCredentials(err)
			e.Op, e.Message = "DescribeKey", local(err)
		}
		return e
	}
	code := api.ErrorCode()
	f := Failed{Op: "DescribeKey", KMSKey: key, Status: http.StatusBadRequest, Header: func(string) string { return "" }}
	id := ""
	if errors.As(err, &resp) {
		f.Status, id = resp.HTTPStatusCode(), resp.ServiceRequestID()
	}
	e := &object.Error{Op: f.Op, Code: code, Message: api.ErrorMessage(), HTTPStatus: f.Status, RequestID: id, Err: err}
	var known bool
	if e.Class, known = codes[code]; !known {
		if e.Class, known = codes["KMS."+code]; !known {
			e.Class = byStatus(f.Status)
		}
	}
	e.Hint = hint(e, f, "")
	return e
}
