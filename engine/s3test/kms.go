package s3test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// KeyState is what can be wrong with a KMS key.
type KeyState string

// The states. A denied key exists and is enabled, but the requester may not use
// it.
const (
	KeyEnabled         KeyState = "Enabled"
	KeyDisabled        KeyState = "Disabled"
	KeyPendingDeletion KeyState = "PendingDeletion"
	KeyDenied          KeyState = "Denied"
	KeyWrongUsage      KeyState = "WrongUsage" // a key for signing
)

// KMS is the registry of keys that S3 uses, and answers KMS's own requests
// (DescribeKey, ListAliases) on the server's endpoint.
type KMS struct {
	region, account string

	mu struct {
		sync.Mutex
		keys    map[string]*kmsKey // by ID
		aliases map[string]string  // alias/NAME → ID
		n       int
		calls   map[string]int
	}
}

type kmsKey struct {
	id, arn string
	state   KeyState
	manager string
}

func newKMS(region, account string) *KMS {
	k := &KMS{region: region, account: account}
	k.mu.keys, k.mu.aliases, k.mu.calls = map[string]*kmsKey{}, map[string]string{}, map[string]int{}
	k.add("aaaaaaaa-0000-4000-8000-000000000000", "AWS", "alias/aws/s3")
	return k
}

func (k *KMS) add(id, manager string, aliases ...string) string {
	arn := fmt.Sprintf("arn:aws:kms:%s:%s:key/%s", k.region, k.account, id)
	k.mu.keys[id] = &kmsKey{id: id, arn: arn, state: KeyEnabled, manager: manager}
	for _, a := range aliases {
		k.mu.aliases[a] = id
	}
	return arn
}

// CreateKey makes an enabled key with these aliases ("alias/NAME") and gives
// its ARN. IDs are the same in every server, in order of creation.
func (k *KMS) CreateKey(aliases ...string) (arn string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.n++
	return k.add(fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", k.mu.n), "CUSTOMER", aliases...)
}

// CreateNamedKey makes an enabled key whose ID is the name, as MinIO and Ceph
// have them.
func (k *KMS) CreateNamedKey(id string) (arn string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.add(id, "CUSTOMER")
}

// SetKeyState changes the state of a key, named by ID, ARN or alias.
func (k *KMS) SetKeyState(key string, state KeyState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.find(key); f != nil {
		f.state = state
	}
}

// DefaultKeyARN is the key of alias/aws/s3.
func (k *KMS) DefaultKeyARN() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.find("alias/aws/s3").arn
}

// Calls are the KMS calls that S3 made, by key ARN.
func (k *KMS) Calls() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]int{}
	for a, n := range k.mu.calls {
		out[a] = n
	}
	return out
}

// find knows a key by ID, ARN, alias or alias ARN.
// REQUIRES: k.mu.
func (k *KMS) find(name string) *kmsKey {
	if rest, ok := strings.CutPrefix(name, "arn:aws:kms:"); ok {
		if _, id, ok := strings.Cut(rest, ":key/"); ok {
			if f := k.mu.keys[id]; f != nil && f.arn == name {
				return f
			}
			return nil
		}
		if _, a, ok := strings.Cut(rest, ":alias/"); ok {
			return k.mu.keys[k.mu.aliases["alias/"+a]]
		}
		return k.mu.keys[rest] // MinIO's form: arn:aws:kms:NAME
	}
	if strings.HasPrefix(name, "alias/") {
		return k.mu.keys[k.mu.aliases[name]]
	}
	return k.mu.keys[name]
}

// use resolves the key that a request names and checks that it can be used.
// Every use is one KMS call.
func (k *KMS) use(name string) (arn string, err *s3Error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.find(name)
	if f == nil {
		return "", fail(http.StatusBadRequest, "KMS.NotFoundException", kmsNotFound(name))
	}
	k.mu.calls[f.arn]++
	switch f.state {
	case KeyDisabled:
		return "", fail(http.StatusBadRequest, "KMS.DisabledException", f.arn+" is disabled.")
	case KeyPendingDeletion:
		return "", fail(http.StatusBadRequest, "KMS.KMSInvalidStateException", f.arn+" is pending deletion.")
	case KeyWrongUsage:
		return "", fail(http.StatusBadRequest, "KMS.InvalidKeyUsageException", f.arn+" key usage is SIGN_VERIFY which is not valid for GenerateDataKey.")
	case KeyDenied:
		return "", errAccessDenied("User is not authorized to perform: kms:GenerateDataKey on resource: " + f.arn + " because no resource-based policy allows the kms:GenerateDataKey action")
	}
	return f.arn, nil
}

func kmsNotFound(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return "Key '" + name + "' does not exist"
	}
	return "Invalid keyId '" + name + "'"
}

// readable checks that S3 may decrypt what is under e.
func (s *Server) readable(e object.Encryption) *s3Error {
	if !e.Type.KMS() || s.profile.Encryption != EncryptAWS {
		return nil
	}
	_, err := s.KMS.use(e.KMSKeyID)
	return err
}

// serve answers the JSON protocol of KMS.
func (k *KMS) serve(q *request) (*reply, *s3Error) {
	var in struct{ KeyId string }
	if err := json.Unmarshal(q.body, &in); err != nil {
		return nil, fail(http.StatusBadRequest, "SerializationException", "The body is not JSON.")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch q.op {
	case "KMS.DescribeKey":
		f := k.find(in.KeyId)
		if f == nil {
			return nil, fail(http.StatusBadRequest, "NotFoundException", kmsNotFound(in.KeyId))
		}
		if f.state == KeyDenied {
			return nil, fail(http.StatusBadRequest, "AccessDeniedException", "User is not authorized to perform: kms:DescribeKey on resource: "+f.arn)
		}
		return jsonReply(map[string]any{"KeyMetadata": k.metadata(f)}), nil
	case "KMS.ListAliases":
		return jsonReply(map[string]any{"Aliases": k.aliasList(in.KeyId), "Truncated": false}), nil
	}
	return nil, fail(http.StatusBadRequest, "UnknownOperationException", "")
}

func (k *KMS) metadata(f *kmsKey) map[string]any {
	state, usage := string(f.state), "ENCRYPT_DECRYPT"
	if f.state == KeyWrongUsage {
		state, usage = string(KeyEnabled), "SIGN_VERIFY"
	}
	return map[string]any{"KeyId": f.id, "Arn": f.arn, "AWSAccountId": k.account, "Enabled": f.state == KeyEnabled || f.state == KeyWrongUsage,
		"KeyState": state, "KeyUsage": usage, "KeyManager": f.manager, "KeySpec": "SYMMETRIC_DEFAULT", "Origin": "AWS_KMS", "MultiRegion": false}
}

func (k *KMS) aliasList(key string) []map[string]any {
	out := []map[string]any{}
	for a, id := range k.mu.aliases {
		if key == "" || k.find(key) == k.mu.keys[id] {
			out = append(out, map[string]any{"AliasName": a, "TargetKeyId": id,
				"AliasArn": fmt.Sprintf("arn:aws:kms:%s:%s:%s", k.region, k.account, a)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i]["AliasName"].(string) < out[j]["AliasName"].(string) })
	return slices.Clip(out)
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
	x.el("Arn", "arn:aws:iam::"+account+":user/s3test")
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
