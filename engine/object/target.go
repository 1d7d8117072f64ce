package object

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
	// CustomerKey is the new SSE-C key, SourceKey the one that sources are under.
	CustomerKey CustomerKey `json:"-"`
	SourceKey   CustomerKey `json:"-"`
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
