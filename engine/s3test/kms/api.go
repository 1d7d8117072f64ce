package kms

import (
	"encoding/json"
	"net/http"
	"slices"
	"sort"
)

// request is the body of every request to KMS.
type request struct {
	KeyId, SourceKeyId, DestinationKeyId                                     string
	CiphertextBlob, Plaintext                                                []byte
	EncryptionContext, SourceEncryptionContext, DestinationEncryptionContext map[string]string
	KeySpec                                                                  string
	NumberOfBytes                                                            int
	DryRun                                                                   bool
	DryRunModifiers                                                          []string

	op, id, region string
}

// ignoresCiphertext: a dry run that asks for nothing but the permission.
func (in *request) ignoresCiphertext() bool {
	return in.DryRun && slices.Contains(in.DryRunModifiers, "IGNORE_CIPHERTEXT")
}

// Serve answers a request in the JSON protocol of KMS: the operation without KMS's
// own prefix, the ID of the request, and the region that the client addressed, the
// service's own where empty.
func (k *Service) Serve(op, id, region string, body []byte) ([]byte, *Error) {
	in := request{op: op, id: id, region: region}
	if region == "" {
		in.region = k.region
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fail(http.StatusBadRequest, "SerializationException", "The body is not JSON.")
	}
	do := map[string]func(*request) (map[string]any, *Error){
		"DescribeKey": k.describeKey, "ListAliases": k.listAliases, "GetKeyLastUsage": k.lastUsage,
		"RotateKeyOnDemand": k.rotateKey, "ListKeyRotations": k.listRotations,
		"Encrypt": k.encrypt, "Decrypt": k.decrypt, "GenerateDataKey": k.generateDataKey, "ReEncrypt": k.reEncrypt,
	}[in.op]
	if do == nil {
		return nil, fail(http.StatusBadRequest, "UnknownOperationException", "")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	out, err := do(&in)
	if err != nil {
		return nil, err
	}
	return document(out), nil
}

// key finds the key that a client names, and checks that it may do the operation
// with it, in any state of the key.
func (k *Service) key(in *request, name string) (*masterKey, *Error) {
	f := k.in(in.region, name)
	if f == nil {
		return nil, fail(http.StatusBadRequest, "NotFoundException", notFound(in.region, k.account, name))
	}
	return f, f.allowed(in.op)
}

func (k *Service) describeKey(in *request) (map[string]any, *Error) {
	f, err := k.key(in, in.KeyId)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": f.metadata()}, nil
}

func (f *masterKey) metadata() map[string]any {
	state, usage := string(f.state), "ENCRYPT_DECRYPT"
	switch f.state {
	case WrongUsage:
		state, usage = string(Enabled), "SIGN_VERIFY"
	case Denied:
		state = string(Enabled)
	}
	m := map[string]any{"KeyId": f.ID, "Arn": f.arn, "AWSAccountId": f.Account, "Enabled": state == string(Enabled), "CreationDate": f.created.Unix(),
		"KeyState": state, "KeyUsage": usage, "KeyManager": f.manager, "KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
		"EncryptionAlgorithms": []string{"SYMMETRIC_DEFAULT"}, "CurrentKeyMaterialId": f.current().id, "Origin": f.Origin, "MultiRegion": f.MultiRegion}
	if f.CustomKeyStoreID != "" {
		m["CustomKeyStoreId"] = f.CustomKeyStoreID
	}
	if f.MultiRegion {
		m["MultiRegionConfiguration"] = map[string]any{"MultiRegionKeyType": "PRIMARY",
			"PrimaryKey": map[string]any{"Arn": f.arn, "Region": f.Region}, "ReplicaKeys": []any{}}
	}
	if f.state == PendingDeletion {
		m["DeletionDate"] = f.created.AddDate(0, 0, 30).Unix()
	}
	return m
}

func (k *Service) listAliases(in *request) (map[string]any, *Error) {
	out := []map[string]any{}
	for a, id := range k.mu.aliases {
		f := k.mu.keys[id]
		if f.Region == in.region && f.Account == k.account && (in.KeyId == "" || k.find(in.KeyId) == f) {
			out = append(out, map[string]any{"AliasName": a, "TargetKeyId": id, "AliasArn": arnOf(f.Region, f.Account, a)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i]["AliasName"].(string) < out[j]["AliasName"].(string) })
	return map[string]any{"Aliases": out, "Truncated": false}, nil
}

// lastUsage tells the last successful cryptographic operation, S3's own among
// them; nothing where there was none.
func (k *Service) lastUsage(in *request) (map[string]any, *Error) {
	f, err := k.key(in, in.KeyId)
	if err != nil {
		return nil, err
	}
	use := map[string]any{}
	if f.used.op != "" {
		use = map[string]any{"Operation": f.used.op, "Timestamp": f.used.at.Unix()}
		if f.used.request != "" {
			use["KmsRequestId"] = f.used.request
		}
	}
	return map[string]any{"KeyId": f.arn, "KeyCreationDate": f.created.Unix(), "TrackingStartDate": f.created.Unix(), "KeyLastUsage": use}, nil
}

// maxRotations is how often a key can be rotated on demand.
const maxRotations = 25

func (k *Service) rotateKey(in *request) (map[string]any, *Error) {
	f, err := k.key(in, in.KeyId)
	switch {
	case err != nil:
		return nil, err
	case f.Origin != "AWS_KMS":
		return nil, fail(http.StatusBadRequest, "UnsupportedOperationException", f.arn+" origin is "+f.Origin+" which is not valid for this operation.")
	case len(f.materials) > maxRotations:
		return nil, fail(http.StatusBadRequest, "LimitExceededException", f.arn+" has reached the limit of on-demand rotations.")
	}
	if err := f.usable(in.op); err != nil {
		return nil, err
	}
	f.rotate(k.now().UTC())
	return map[string]any{"KeyId": f.arn}, nil
}

func (k *Service) listRotations(in *request) (map[string]any, *Error) {
	f, err := k.key(in, in.KeyId)
	if err != nil {
		return nil, err
	}
	rotations := []map[string]any{}
	for _, m := range f.materials[1:] {
		rotations = append(rotations, map[string]any{"KeyId": f.arn, "KeyMaterialId": m.id, "RotationDate": m.made.Unix(), "RotationType": "ON_DEMAND"})
	}
	return map[string]any{"Rotations": rotations, "Truncated": false}, nil
}

// ContentType of every answer.
const ContentType = "application/x-amz-json-1.1"

// Document is the error in KMS's own protocol.
func (e *Error) Document() []byte {
	return document(map[string]string{"__type": e.Code, "message": e.Message})
}

func document(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings: cannot happen
	}
	return b
}
