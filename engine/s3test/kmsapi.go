package s3test

import (
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"strings"
)

// kmsRequest is the body of every request to KMS.
type kmsRequest struct {
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
func (in *kmsRequest) ignoresCiphertext() bool {
	return in.DryRun && slices.Contains(in.DryRunModifiers, "IGNORE_CIPHERTEXT")
}

// serve answers the JSON protocol of KMS.
func (k *KMS) serve(q *request) (*reply, *s3Error) {
	in := kmsRequest{op: strings.TrimPrefix(q.op, "KMS."), id: q.id, region: k.region}
	if h, ok := ParseAWSHost(q.http.Host); ok && h.Region != "" {
		in.region = h.Region
	}
	if err := json.Unmarshal(q.body, &in); err != nil {
		return nil, fail(http.StatusBadRequest, "SerializationException", "The body is not JSON.")
	}
	do := map[string]func(*kmsRequest) (map[string]any, *s3Error){
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
	return jsonReply(out), nil
}

// key finds the key that a client names, and checks that it may do the operation
// with it, in any state of the key.
func (k *KMS) key(in *kmsRequest, name string) (*kmsKey, *s3Error) {
	f := k.in(in.region, name)
	if f == nil {
		return nil, fail(http.StatusBadRequest, "NotFoundException", notFound(in.region, k.account, name))
	}
	return f, f.allowed(in.op)
}

func (k *KMS) describeKey(in *kmsRequest) (map[string]any, *s3Error) {
	f, err := k.key(in, in.KeyId)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": f.metadata()}, nil
}

func (f *kmsKey) metadata() map[string]any {
	state, usage := string(f.state), "ENCRYPT_DECRYPT"
	switch f.state {
	case KeyWrongUsage:
		state, usage = string(KeyEnabled), "SIGN_VERIFY"
	case KeyDenied:
		state = string(KeyEnabled)
	}
	m := map[string]any{"KeyId": f.ID, "Arn": f.arn, "AWSAccountId": f.Account, "Enabled": state == string(KeyEnabled), "CreationDate": f.created.Unix(),
		"KeyState": state, "KeyUsage": usage, "KeyManager": f.manager, "KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
		"EncryptionAlgorithms": []string{"SYMMETRIC_DEFAULT"}, "CurrentKeyMaterialId": f.current().id, "Origin": f.Origin, "MultiRegion": f.MultiRegion}
	if f.CustomKeyStoreID != "" {
		m["CustomKeyStoreId"] = f.CustomKeyStoreID
	}
	if f.MultiRegion {
		m["MultiRegionConfiguration"] = map[string]any{"MultiRegionKeyType": "PRIMARY",
			"PrimaryKey": map[string]any{"Arn": f.arn, "Region": f.Region}, "ReplicaKeys": []any{}}
	}
	if f.state == KeyPendingDeletion {
		m["DeletionDate"] = f.created.AddDate(0, 0, 30).Unix()
	}
	return m
}

func (k *KMS) listAliases(in *kmsRequest) (map[string]any, *s3Error) {
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
func (k *KMS) lastUsage(in *kmsRequest) (map[string]any, *s3Error) {
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

func (k *KMS) rotateKey(in *kmsRequest) (map[string]any, *s3Error) {
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

func (k *KMS) listRotations(in *kmsRequest) (map[string]any, *s3Error) {
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

func jsonReply(v any) *reply {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings: cannot happen
	}
	r := &reply{body: b}
	r.set("Content-Type", "application/x-amz-json-1.1")
	return r
}

// kmsError is an error in KMS's own protocol.
func kmsError(e *s3Error) *reply {
	r := jsonReply(map[string]string{"__type": e.code, "message": e.message})
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
	x.el("Arn", "arn:"+partitionOf(s.cfg.Region)+":iam::"+account+":user/s3test")
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
