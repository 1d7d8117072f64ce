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
	smithyhttp "github.com/aws/smithy-go/transport/http"

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
	// MultiRegion: the key has, or may have, replicas of the same ID in other regions.
	MultiRegion bool
	// Material is the ID of the key material that encrypts now; a rotation makes another one,
	// and what was encrypted before needs the older one, under the same key.
	Material string
	// Account that owns the key.
	Account string
	// Origin is where the material comes from, as KMS names it: AWS_KMS, EXTERNAL,
	// AWS_CLOUDHSM, EXTERNAL_KEY_STORE. CustomStore is the ID of the key store of
	// one's own that the key is in, empty for KMS's.
	Origin, CustomStore string
}

// customStoreRate is what a key store of one's own, CloudHSM or external, takes at
// most a second. It cannot be raised, and everybody who uses the store shares it.
const customStoreRate = 1800

// Ceiling is how many requests a second the key's store takes at most, all its
// users together; 0 where that is the account's own quota.
func (k Key) Ceiling() int {
	if k.CustomStore != "" || k.Origin == string(types.OriginTypeAwsCloudhsm) || k.Origin == string(types.OriginTypeExternalKeyStore) {
		return customStoreRate
	}
	return 0
}

// ErrKeyElsewhere is the cause where a key is in another region than a bucket.
var ErrKeyElsewhere = errors.New("the key is in another region than the bucket")

// KeyElsewhere says that a key is in another region than a bucket of AWS, so that
// no request under it can succeed: an error of ClassKey that names both.
func (s *Store) KeyElsewhere(ctx context.Context, bucket string, k Key) error {
	if !s.aws || k.Region == "" {
		return nil
	}
	a, err := s.Address(ctx, bucket)
	if err != nil || a.Region == "" || a.Region == k.Region {
		return err
	}
	return &object.Error{Class: object.ClassKey, Op: "DescribeKey", Ref: object.Ref{Bucket: bucket}, NotSent: true, Err: ErrKeyElsewhere,
		Message: "the KMS key " + k.ARN + " is in " + k.Region + ", and the bucket is in " + a.Region,
		Hint:    "name a key of " + a.Region + "; a multi-Region key has a replica there with an ARN of its own"}
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
	return s.resolveKey(ctx, idOrAlias, s.keyRegion())
}

// ResolveKeyFor is ResolveKey in the region of a bucket, so that an alias or a bare ID means
// the key there. Where the key is a multi-Region one of another region, it is the replica
// there, if there is one.
func (s *Store) ResolveKeyFor(ctx context.Context, bucket, idOrAlias string) (Key, error) {
	region := s.keyRegion()
	if s.aws {
		a, err := s.Address(ctx, bucket)
		if err != nil {
			return Key{}, err
		}
		if a.Region != "" {
			region = a.Region
		}
	}
	if replica := replicaARN(idOrAlias, region); replica != "" {
		switch k, err := s.resolveKey(ctx, replica, region); object.ClassOf(err) {
		case object.ClassKey: // there is none
		default:
			return k, err
		}
	}
	return s.resolveKey(ctx, idOrAlias, region)
}

// replicaARN is the ARN that a multi-Region key of another region has in this one; empty for
// every other key.
func replicaARN(arn, region string) string {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[2] != "kms" || part[3] == region || !strings.HasPrefix(part[5], "key/mrk-") {
		return ""
	}
	part[3] = region
	return strings.Join(part, ":")
}

func (s *Store) resolveKey(ctx context.Context, idOrAlias, region string) (Key, error) {
	fail := &object.Error{Op: "DescribeKey", Class: object.ClassUnsupported, Code: "", Message: "", Err: ErrNoKMS}
	if !s.aws && os.Getenv("AWS_ENDPOINT_URL_KMS") == "" {
		fail.Message = "the key " + idOrAlias + " cannot be resolved here: the endpoint is not AWS's, and no KMS of its own is known"
		fail.Hint = "name the key as the store itself names it, or set AWS_ENDPOINT_URL_KMS"
		return Key{}, fail
	}
	out, err := s.kmsClientIn(idOrAlias, region).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(idOrAlias)})
	if err != nil {
		return Key{}, s.kmsError(ctx, "DescribeKey", idOrAlias, err)
	}
	m := out.KeyMetadata
	if m == nil || aws.ToString(m.Arn) == "" {
		return Key{}, &object.Error{Op: "DescribeKey", Class: object.ClassTransient, Message: "the answer has no ARN"}
	}
	return Key{ARN: *m.Arn, State: string(m.KeyState), Enabled: m.KeyState == types.KeyStateEnabled,
		Symmetric: m.KeySpec == types.KeySpecSymmetricDefault && m.KeyUsage == types.KeyUsageTypeEncryptDecrypt,
		Manager:   string(m.KeyManager), Region: regionOfKey(*m.Arn, ""), MultiRegion: aws.ToBool(m.MultiRegion), Material: aws.ToString(m.CurrentKeyMaterialId), Account: aws.ToString(m.AWSAccountId),
		Origin: string(m.Origin), CustomStore: aws.ToString(m.CustomKeyStoreId)}, nil
}

// kmsClient asks the KMS of the region that a key names, else of the bucket's.
func (s *Store) kmsClient(key string) *kms.Client { return s.kmsClientIn(key, s.keyRegion()) }

// kmsClientIn asks the KMS of the region that a key names, else of this one.
func (s *Store) kmsClientIn(key, region string) *kms.Client {
	return kms.NewFromConfig(s.cfg, func(o *kms.Options) {
		o.RetryMaxAttempts = 1
		o.HTTPSignerV4 = byStoresClock{v4.NewSigner(), s}
		o.Region = regionOfKey(key, region)
		o.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(s.retrieve))
	})
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
func (s *Store) kmsError(ctx context.Context, op, key string, err error) error {
	signature := ""
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil {
		signature = signatureOf(resp.Response.Response)
	}
	e := classifyKMS(ctx, op, key, err, resp)
	s.secrets.CleanError(e, signature)
	return e
}

func classifyKMS(ctx context.Context, op, key string, err error, resp *awshttp.ResponseError) *object.Error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return noAnswer(ctx, "KMS", op, object.Ref{}, err)
	}
	code := api.ErrorCode()
	f := object.FailedReply{Op: op, KMSKey: key, Status: http.StatusBadRequest, Header: func(string) string { return "" }}
	id := ""
	if resp != nil {
		f.Status, id = resp.HTTPStatusCode(), resp.ServiceRequestID()
	}
	e := &object.Error{Op: f.Op, Code: code, Message: object.Cut(api.ErrorMessage(), object.MaxMessage), HTTPStatus: f.Status, RequestID: id}
	var known bool
	if e.Class, known = codes[code]; !known {
		if e.Class, known = codes["KMS."+code]; !known {
			e.Class = byStatus(f.Status)
		}
	}
	if e.Class == object.ClassTransient && f.Status/100 == 5 {
		e.Class = object.ClassKMSAway
	}
	e.Message = withoutKeys(e.Message)
	e.Hint = hint(e, f, "")
	return e
}

// noAnswer is an error of one of the SDK's clients that is not the service's: the network's,
// a half answer's, or that of whoever has the credentials.
func noAnswer(ctx context.Context, service, op string, ref object.Ref, err error) *object.Error {
	var network *net.OpError
	var send *smithyhttp.RequestSendError
	var resp *awshttp.ResponseError
	switch {
	case errors.As(err, &network), errors.As(err, &send), ctx.Err() != nil:
		return FailedToSend(op, ref, ctx, err)
	case errors.As(err, &resp):
		return &object.Error{Class: object.ClassTransient, Op: op, Ref: ref, HTTPStatus: resp.HTTPStatusCode(),
			RequestID: object.Cut(resp.ServiceRequestID(), object.MaxRequestID), Message: "the answer of " + service + " is not whole"}
	}
	e := noCredentials(err)
	e.Op = op
	return e
}
