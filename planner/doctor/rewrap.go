package doctor

import "github.com/resealhq/reseal/engine/object"

// Rewrap is what a job that changes envelopes alone wants.
type Rewrap struct {
	// Unwrap is whether every new wrap is opened before it is written.
	Unwrap bool
}

// envelopes tells what a new wrap of the same data key does not change.
func envelopes(f *Facts, fs *findings) {
	fs.add(Warning, "readers", "Readers that take one wrapping key only cannot read objects on the other side of the run, in either direction, as long as it lasts",
		"let them take both keys, or any, until `reseal verify` has been content")
	fs.add(Note, "data-keys", "A new wrap keeps the data key: whoever has learnt one can still read its object",
		"write such objects again by an encryption client, which makes new data keys")
	if f.written().Versioning != object.VersioningOff {
		fs.add(Warning, "versions", "Old versions keep their old wrap, those that this run leaves behind among them",
			"keep the old wrapping key as long as they exist, and let a lifecycle rule expire them")
	}
	if !f.Rewrap.Unwrap {
		fs.add(Note, "data-keys", "A wrapped key that somebody exchanged for another object's is not noticed, since no data key is looked at",
			"--verify unwrap compares it with what an object of version 3 commits to; that takes kms:Decrypt").Paste = "--verify unwrap"
	}
}
