package object

import "slices"

// Switch is a setting that can be left to its default.
type Switch uint8

// The three positions of a Switch.
const (
	Default Switch = iota
	On
	Off
)

// Target is what every object of a job is to be like. It is frozen in the job;
// the customer keys are not: they come from their files at every start.
type Target struct {
	SSE SSE
	// KMSKeyID is the key as the command line named it; empty asks for the
	// store's default key.
	KMSKeyID string
	// ShownKeyID is how the store shows that key (KMS DescribeKey, or the canary);
	// empty where nobody has seen it yet, then KMSKeyID is compared.
	ShownKeyID string
	// Context is the extra encryption context: the base64 of its JSON, as
	// x-amz-server-side-encryption-context carries it. Cannot be read back.
	Context   string
	BucketKey Switch
	// StorageClass changes the class; empty keeps it.
	StorageClass string
	// StampMtime keeps the LastModified in the user metadata "mtime".
	StampMtime bool
	// CustomerKey is the new SSE-C key, SourceKey the one that a source is under.
	CustomerKey CustomerKey `json:"-"`
	SourceKey   CustomerKey `json:"-"`
	// MoreSourceKeys are others that sources may be under; see From.
	MoreSourceKeys []CustomerKey `json:"-"`
}

// SourceKeys are the customer keys that sources may be under.
func (t *Target) SourceKeys() []CustomerKey {
	if t.SourceKey.IsZero() {
		return nil
	}
	return append([]CustomerKey{t.SourceKey}, t.MoreSourceKeys...)
}

// Opens says whether one of the source keys is the one that an object under e shows.
func (t *Target) Opens(e *Encryption) bool {
	k := t.From(e).SourceKey
	return !k.IsZero() && k.MD5() == e.CustomerKeyMD5
}

// From is the target for a source that is under e: its SourceKey is the one whose
// fingerprint e shows.
func (t *Target) From(e *Encryption) *Target {
	if e.Type != SSEC || len(t.MoreSourceKeys) == 0 || t.SourceKey.MD5() == e.CustomerKeyMD5 {
		return t
	}
	for i, k := range t.MoreSourceKeys {
		if k.MD5() == e.CustomerKeyMD5 {
			u := *t
			u.SourceKey = k
			u.MoreSourceKeys = slices.Concat(t.MoreSourceKeys[:i], t.MoreSourceKeys[i+1:], []CustomerKey{t.SourceKey})
			return &u
		}
	}
	return t
}

// MetBy says whether an object under e is as the target wants it. The KMS
// context cannot be read back, so it is not compared.
func (t *Target) MetBy(e Encryption) bool {
	if t.SSE != e.Type {
		return false
	}
	switch t.SSE {
	case SSEKMS, DSSEKMS:
		if !t.sameKey(e.KMSKeyID) {
			return false
		}
		if t.SSE == SSEKMS && t.BucketKey != Default {
			return e.BucketKey == (t.BucketKey == On)
		}
	case SSEC:
		return e.CustomerKeyMD5 == t.CustomerKey.MD5()
	}
	return true
}

func (t *Target) sameKey(shown string) bool {
	if shown == "" {
		return false // not told: it has to be inspected
	}
	if t.ShownKeyID != "" {
		return shown == t.ShownKeyID
	}
	return SameKMSKey(t.KMSKeyID, shown)
}

// UnderOtherKey says whether an object under e may be under another KMS key than the
// target's, or whether which one was not told.
func (t *Target) UnderOtherKey(e Encryption) bool {
	return t.SSE.KMS() && e.Type.KMS() && !t.sameKey(e.KMSKeyID)
}

// Satisfied says whether the object needs nothing: encryption and, where one is
// asked for, storage class.
func (t *Target) Satisfied(o *Object) bool {
	return t.MetBy(o.Encryption) && (t.StorageClass == "" || SameClass(t.StorageClass, o.StorageClass))
}

// SameClass compares storage classes; empty is STANDARD.
func SameClass(a, b string) bool {
	if a == "" {
		a = "STANDARD"
	}
	if b == "" {
		b = "STANDARD"
	}
	return a == b
}

// Keep is the target under which an object that is under e stays as it is: what a
// write asks for that is to change something else. Nobody can ask for no encryption.
func (t *Target) Keep(e Encryption) Target {
	from := t.From(&e)
	k := Target{SSE: e.Type, SourceKey: from.SourceKey, MoreSourceKeys: from.MoreSourceKeys}
	switch e.Type {
	case SSEKMS, DSSEKMS:
		k.KMSKeyID, k.ShownKeyID = e.KMSKeyID, e.KMSKeyID
		if e.Type == SSEKMS {
			k.BucketKey = Off
			if e.BucketKey {
				k.BucketKey = On
			}
		}
	case SSEC:
		k.CustomerKey = from.SourceKey
	}
	return k
}
