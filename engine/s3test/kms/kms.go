// Package kms is the key management service beside the embedded store: keys with
// aliases, states, rotations and replicas. It answers KMS's own requests in KMS's
// protocol and words, and what S3 asks of it for a request of its own. It keeps a
// journal of every use, so that a test can assert that there was none.
package kms

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// State is what can be wrong with a KMS key.
type State string

// The states. A denied key exists and is enabled, but the requester may not use
// it.
const (
	Enabled         State = "Enabled"
	Disabled        State = "Disabled"
	PendingDeletion State = "PendingDeletion"
	Denied          State = "Denied"
	WrongUsage      State = "WrongUsage" // a key for signing
)

// Config says whose keys they are.
type Config struct {
	Region, Account string
	// Now is the clock.
	Now func() time.Time
	// NoLog keeps no journal.
	NoLog bool
}

// Error is an answer of KMS in its own words.
type Error struct {
	Status        int
	Code, Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func fail(status int, code, message string) *Error { return &Error{status, code, message} }

// Service is the registry of keys. Its methods are safe for concurrent use.
type Service struct {
	region, account string
	now             func() time.Time
	quiet           bool // no journal

	mu struct {
		sync.Mutex
		keys    map[string]*masterKey // by ID
		aliases map[string]string     // alias/NAME → ID
		n       int
		calls   map[string]int
		journal []Call
	}
}

// Call is one use of KMS.
type Call struct {
	// Op is GenerateDataKey, Decrypt …; Key the ARN, or what was asked for where
	// there is no such key.
	Op, Key string
	// ByS3 is whether S3 made it for a request of its own, not a client.
	ByS3    bool
	Context map[string]string
	DryRun  bool
	Code    string // of the error; empty for none
}

// KeyOptions are what a key may be beside ordinary.
type KeyOptions struct {
	// ID of the key; made up in order of creation where empty.
	ID      string
	Aliases []string // alias/NAME
	// Account and Region are KMS's own where empty. S3 takes only keys of its region.
	Account, Region string
	// Origin is AWS_KMS where empty; CustomKeyStoreID names the key store of
	// AWS_CLOUDHSM and EXTERNAL_KEY_STORE.
	Origin, CustomKeyStoreID string
	MultiRegion              bool
}

type masterKey struct {
	KeyOptions
	arn     string
	state   State
	manager string
	created time.Time
	denied  map[string]bool // actions
	// materials are the generations of key material, the current one last.
	materials []keyMaterial
	used      keyUse
	// replicas in other regions, of a multi-Region key: the same ID and material.
	replicas map[string]*masterKey
}

// keyUse is the last successful cryptographic operation.
type keyUse struct {
	op, request string
	at          time.Time
}

// New is a service with nothing but the key of alias/aws/s3.
func New(cfg Config) *Service {
	k := &Service{region: cfg.Region, account: cfg.Account, now: cfg.Now, quiet: cfg.NoLog}
	k.mu.keys, k.mu.aliases, k.mu.calls = map[string]*masterKey{}, map[string]string{}, map[string]int{}
	k.add("AWS", KeyOptions{ID: "aaaaaaaa-0000-4000-8000-000000000000", Aliases: []string{"alias/aws/s3"}})
	return k
}

func arnOf(region, account, rest string) string {
	return "arn:" + Partition(region) + ":kms:" + region + ":" + account + ":" + rest
}

// Partition is the partition (aws, aws-cn …) that a region lies in.
func Partition(region string) string {
	for prefix, partition := range map[string]string{"cn-": "aws-cn", "us-gov-": "aws-us-gov", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b",
		"eu-isoe-": "aws-iso-e", "us-isof-": "aws-iso-f", "eusc-": "aws-eusc"} {
		if strings.HasPrefix(region, prefix) {
			return partition
		}
	}
	return "aws"
}

// REQUIRES: k.mu, but for the constructor.
func (k *Service) add(manager string, o KeyOptions) string {
	if o.Region == "" {
		o.Region = k.region
	}
	if o.Account == "" {
		o.Account = k.account
	}
	if o.Origin == "" {
		o.Origin = "AWS_KMS"
	}
	f := &masterKey{KeyOptions: o, arn: arnOf(o.Region, o.Account, "key/"+o.ID), state: Enabled, manager: manager,
		created: k.now().UTC(), denied: map[string]bool{}}
	f.rotate(k.now().UTC())
	k.mu.keys[o.ID] = f
	for _, a := range o.Aliases {
		k.mu.aliases[a] = o.ID
	}
	return f.arn
}

// CreateKey makes an enabled key with these aliases ("alias/NAME") and gives
// its ARN. IDs are the same in every server, in order of creation.
func (k *Service) CreateKey(aliases ...string) (arn string) {
	return k.CreateKeyWith(KeyOptions{Aliases: aliases})
}

// CreateNamedKey makes an enabled key whose ID is the name, as MinIO and Ceph
// have them.
func (k *Service) CreateNamedKey(id string) (arn string) { return k.CreateKeyWith(KeyOptions{ID: id}) }

// CreateKeyWith makes an enabled key and gives its ARN.
func (k *Service) CreateKeyWith(o KeyOptions) (arn string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if o.ID == "" {
		k.mu.n++
		o.ID = fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", k.mu.n)
		if o.MultiRegion {
			o.ID = fmt.Sprintf("mrk-%032x", k.mu.n)
		}
	}
	return k.add("CUSTOMER", o)
}

// ReplicateKey makes the replica of a multi-Region key in another region and gives its ARN.
func (k *Service) ReplicateKey(arn, region string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	primary := k.find(arn)
	o := primary.KeyOptions
	o.Region = region
	r := &masterKey{KeyOptions: o, arn: arnOf(region, o.Account, "key/"+o.ID), state: Enabled, manager: primary.manager,
		created: k.now().UTC(), denied: map[string]bool{}, materials: primary.materials}
	if primary.replicas == nil {
		primary.replicas = map[string]*masterKey{}
	}
	primary.replicas[region] = r
	return r.arn
}

// Rotate gives a key new material, as RotateKeyOnDemand does.
func (k *Service) Rotate(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.find(key).rotate(k.now().UTC())
}

// PointAlias lets an alias lead to another key.
func (k *Service) PointAlias(alias, key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.aliases[alias] = k.find(key).ID
}

// SetKeyState changes the state of a key, named by ID, ARN or alias.
func (k *Service) SetKeyState(key string, state State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.find(key); f != nil {
		f.state = state
	}
}

// Deny refuses actions ("kms:Decrypt") on a key from now on, as its policy would;
// none lifts all of it.
func (k *Service) Deny(key string, actions ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.find(key); f != nil {
		f.denied = map[string]bool{}
		for _, a := range actions {
			f.denied[a] = true
		}
	}
}

// DefaultKeyARN is the key of alias/aws/s3.
func (k *Service) DefaultKeyARN() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.find("alias/aws/s3").arn
}

// Calls are the KMS calls that S3 made, by key ARN.
func (k *Service) Calls() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]int{}
	for a, n := range k.mu.calls {
		out[a] = n
	}
	return out
}

// codeOf is the code of an error, empty for none.
func codeOf(err *Error) string {
	if err == nil {
		return ""
	}
	return err.Code
}

// Journal are all uses in order; those of the named operations only where some
// are named. A server without a log has none.
func (k *Service) Journal(ops ...string) []Call {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []Call
	for _, c := range k.mu.journal {
		if len(ops) == 0 || slices.Contains(ops, c.Op) {
			out = append(out, c)
		}
	}
	return out
}

// note writes a use down.
// REQUIRES: k.mu.
func (k *Service) note(c Call) {
	if !k.quiet {
		k.mu.journal = append(k.mu.journal, c)
	}
}

// find knows a key by ID, ARN, alias or alias ARN.
// REQUIRES: k.mu.
func (k *Service) find(name string) *masterKey {
	if _, rest, ok := strings.Cut(name, ":kms:"); ok && strings.HasPrefix(name, "arn:aws") {
		if _, id, ok := strings.Cut(rest, ":key/"); ok {
			f := k.mu.keys[id]
			if f == nil || f.arn == name {
				return f
			}
			for _, r := range f.replicas {
				if r.arn == name {
					return r
				}
			}
			return nil
		}
		if _, a, ok := strings.Cut(rest, ":alias/"); ok {
			if f := k.mu.keys[k.mu.aliases["alias/"+a]]; f != nil && name == arnOf(f.Region, f.Account, "alias/"+a) {
				return f
			}
			return nil
		}
		return k.mu.keys[rest] // MinIO's form: arn:aws:kms:NAME
	}
	if strings.HasPrefix(name, "alias/") {
		return k.mu.keys[k.mu.aliases[name]]
	}
	return k.mu.keys[name]
}

// in is the key of that name in a region, nil where there is none.
// REQUIRES: k.mu.
func (k *Service) in(region, name string) *masterKey {
	f := k.find(name)
	switch {
	case f == nil || f.Region == region:
		return f
	case !strings.HasPrefix(name, "arn:"):
		return f.replicas[region]
	}
	return nil
}

// Use is what S3 asks for a request of its own: the ARN of the key that the request
// names, if it can be used for the operation in the region of the bucket. Every use is
// one call of KMS.
func (k *Service) Use(region, name, op string) (arn string, err *Error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.in(region, name)
	if f == nil {
		err = fail(http.StatusBadRequest, "NotFoundException", notFound(region, k.account, name))
		k.note(Call{Op: op, Key: name, ByS3: true, Code: err.Code})
	} else {
		arn, err = f.arn, f.usable(op)
		k.mu.calls[arn]++
		k.note(Call{Op: op, Key: arn, ByS3: true, Code: codeOf(err)})
	}
	if err != nil {
		return "", err
	}
	f.used = keyUse{op: op, at: k.now().UTC()}
	return arn, nil
}

// usable checks that the key can be used for the operation, in KMS's words.
func (f *masterKey) usable(op string) *Error {
	switch f.state {
	case Disabled:
		return fail(http.StatusBadRequest, "DisabledException", f.arn+" is disabled.")
	case PendingDeletion:
		return fail(http.StatusBadRequest, "KMSInvalidStateException", f.arn+" is pending deletion.")
	case WrongUsage:
		return fail(http.StatusBadRequest, "InvalidKeyUsageException", f.arn+" key usage is SIGN_VERIFY which is not valid for "+op+".")
	}
	return f.allowed(op)
}

func (f *masterKey) allowed(op string) *Error {
	action := "kms:" + op
	if f.state == Denied || f.denied[action] || strings.HasPrefix(op, "ReEncrypt") && f.denied["kms:ReEncrypt*"] {
		return fail(http.StatusBadRequest, "AccessDeniedException", "User is not authorized to perform: "+action+" on resource: "+f.arn+
			" because no resource-based policy allows the "+action+" action")
	}
	return nil
}

// notFound is what KMS says of a key that it does not have: by ARN or by UUID
// its whole name, of another region the region, and else the name as it came.
func notFound(region, account, name string) string {
	fields := strings.Split(name, ":")
	switch {
	case len(fields) == 6 && fields[3] != region:
		return "Invalid arn " + fields[3]
	case strings.HasPrefix(name, "arn:"):
		return "Key '" + name + "' does not exist"
	case isUUID(name):
		return "Key '" + arnOf(region, account, "key/"+name) + "' does not exist"
	}
	return "Invalid keyId '" + name + "'"
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return false
		}
	}
	return true
}

// Region that the service is in.
func (k *Service) Region() string { return k.region }
