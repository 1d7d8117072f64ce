package canary

import (
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// Options say what the job wants to know. What it cannot use is not asked.
type Options struct {
	// Bucket and Prefix that the job writes to. The throwaway objects' names begin
	// with the prefix, so that a policy for it covers them.
	Bucket, Prefix string
	// Target of the job; its SourceKey too, where sources are under SSE-C.
	Target object.Target
	// Facts of the bucket.
	Facts object.BucketFacts
	// Dest: the job writes to another place than it reads from.
	Dest bool
	// Only is the operation that the job is restricted to: OpUpdate, OpCopy (which
	// takes in multipart copies) or OpRewrite. Zero allows all of them.
	Only object.Operation
	// Sends: the job sends parts of objects from this client.
	Sends bool
	// Accept holds the losses that the operator accepts by name: whether they can be
	// avoided need not be known.
	Accept []object.Reason
	// Class is a storage class that copies of the job will be in; empty where none is known, and two of
	// AWS's are tried.
	Class string
	// AllVersions: the job lists versions, not only current objects.
	AllVersions bool
	// OtherKey is a KMS key that objects are under now, other than the target's. Empty
	// leaves it to the store's own key.
	OtherKey string
	// AcceptUnproven goes on with a store that does not seem to encrypt
	// (--accept unproven-encryption). The findings are then "assumed".
	AcceptUnproven bool
	// Known is what an earlier process of the same job found. What it found to be No
	// the job does not use, so that is not asked again; whatever it found to be Yes is.
	Known *object.Capabilities
	// Everything asks every question, for a person who wants to read the answers.
	Everything bool
	// Always sends the canary to AWS too, whose abilities are otherwise known.
	Always bool
	// Announce, where set, is told how the keys of all throwaway objects begin,
	// before the first one is written; see Sweep. Its error ends the probe.
	Announce func(name string) error
}

// classes are those of which one is tried: what a store does with one of its own says nothing of
// another's. What may be an archive is not tried, since nothing could be read back.
func (o *Options) classes() []string {
	one := object.Object{StorageClass: o.Class}
	if object.SameClass(o.Class, "STANDARD") || one.Archived() || one.Reserved() {
		return []string{"REDUCED_REDUNDANCY", "STANDARD_IA"}
	}
	return []string{o.Class}
}

// asks says whether a question is worth its requests: not where the job accepts the
// loss, nor where an earlier process has seen that the store cannot do it.
func (o *Options) asks(known func(*object.Capabilities) object.Finding, loss object.Reason) bool {
	switch {
	case o.Everything:
		return true
	case loss != "" && slices.Contains(o.Accept, loss):
		return false
	case o.Known != nil:
		return known(o.Known) != object.No
	}
	return true
}

// relies says whether the job may stand on a finding that a new one would not ask for.
func (o *Options) relies(known func(*object.Capabilities) object.Finding) bool {
	return o.Everything || o.Known != nil && known(o.Known) == object.Yes
}

// copies says whether the job may take a copy at all.
func (o *Options) copies() bool {
	return o.Everything || o.Only != object.OpUpdate && o.Only != object.OpRewrite
}

// carryOver takes over what was known to be No and therefore not asked.
func carryOver(caps, known *object.Capabilities) {
	if known == nil {
		return
	}
	now, before := findings(caps), findings(known)
	for i := range now {
		if *now[i].found == object.Unknown && *before[i].found == object.No {
			*now[i].found = object.No
		}
	}
}

// Writes says in sentences what a probe with these options writes and how it goes
// again, for a person who is to allow it first.
func (o Options) Writes() []string {
	where := "s3://" + o.Bucket + "/" + o.Prefix + mark + "…"
	said := []string{
		"small objects of less than 1 KiB, at most 60, all named " + where + ", with metadata, tags, checksums and, where the bucket takes them, a storage class and a website redirect",
		"copies of them onto themselves and beside them, also in parts, some on conditions that must be refused",
		"PutObjectTagging and PutObjectAcl to one of them",
	}
	if o.asks(func(k *object.Capabilities) object.Finding { return k.Update }, "") && o.Target.SSE == object.SSEKMS && o.Target.KMSKeyID != "" && !o.Dest {
		said = append(said, "UpdateObjectEncryption to two of them")
	}
	if o.Facts.ObjectLock == object.Yes {
		said = append(said, "a governance retention of 20 seconds on some, and a legal hold on one, which is taken off again")
	}
	return append(said, "at the end everything is deleted, every version and every upload, and a listing shows that nothing is left")
}
