package report

import (
	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// Hint is what a person can do about objects that were left or failed for a
// reason: a Reason, or the class of an error. It is empty where there is nothing
// to say.
func Hint(state object.State, why object.Reason) string {
	if h, ok := hintsByState[state][why]; ok {
		return h
	}
	// A plan can leave an object because of an error, and a failure can be one that
	// a plan would have seen.
	for _, s := range [...]object.State{object.Failed, object.Left} {
		if h, ok := hintsByState[s][why]; ok {
			return h
		}
	}
	return ""
}

// hintsByState is read only.
var hintsByState = map[object.State]map[object.Reason]string{
	object.Done: {
		object.ReasonReply: "the store answered success, and nobody has looked at them since, as --verify response allows: reseal verify does",
	},
	object.Already: {
		object.ReasonInDoubt: "nothing: they are as wanted. A process was killed before it could record whether it had changed them, or the directory is a copy of another that has run",
	},
	object.Left: {
		object.ReasonNoncurrent:  "only UpdateObjectEncryption changes an old version in place; this store was not seen to do it. Expire old versions by a lifecycle rule, or keep their key",
		object.ReasonArchived:    "restore them (s3 restore-object), then run again with --retry-failed or a new job",
		object.ReasonTooLarge:    "allow the multipart route: leave --operation on auto",
		object.ReasonUnsupported: "no operation of this store leads from their encryption to the target; see reseal doctor",
		object.ReasonGone:        "they are not there: deleted since they were listed, or, in a key list or manifest, never there; if many are, check how it writes its keys",
		object.ReasonChanging:    "other writers kept overwriting them; run a new job, which finds them as they are then",
		object.ReasonMissingKey:  "they are under SSE-C: give their key with --source-sse-c-key-file",
		object.ReasonForeign:     "something else stands at the destination: name another --dest, or move it out of the way",
		object.ReasonACL:         "a copy would lose their grants: let reseal read and write ACLs, or --accept acl",
		object.ReasonLock:        "a copy would lose their retention or legal hold: let reseal read and write them, or --accept lock",
		object.ReasonTags:        "a copy would lose their tags: let reseal read and write tags, or --accept tags",
		object.ReasonRedirect:    "a copy would lose their website redirect: --accept redirect",
		object.ReasonEventHold:   "a copy would turn their event hold into a date: --accept event-hold",
		object.ReasonAnnotations: "a copy in parts or a rewrite drops their annotations, and they could not be written again, as the message tells: let reseal list, read and write them, or --accept annotations",
		object.ReasonComposite:   "a copy would change their checksum's type, or lose it: --operation rewrite keeps most of them, sending the bytes through this machine, but takes nothing to or from SSE-C in place on other stores than AWS; or --accept composite-checksum",
		object.ReasonContext:     "they may have an extra KMS context, which no one can read back: give it with --sse-kms-context, or --accept encryption-context",
		object.ReasonMetadata:    "they have metadata that HTTP cannot show, so that it cannot be resent; copy them by hand",
		object.ReasonClass:       "this store was not seen to put a copy into their storage class: a job with --only-storage-class CLASS tries it, or name one that it keeps with --storage-class",
		object.ReasonNullVersion: "no versions of them are kept now, so that a copy would overwrite an older one: enable versioning for the run, or remove that version",
		object.ReasonSource:      "this store reads other objects than those that a copy names: rename them, or copy them through a client that reads and writes them",
		object.ReasonReaders:     "whoever reads them has no key for the new wrap: give it to the readers first, then --accept cse-readers",
		object.ReasonOrphan:      "instruction files whose objects are not there: delete them, or bring the objects back",
		object.ReasonInstruction: "instruction files, which go with their objects: delete them once nobody needs them",
		object.ReasonUnauthentic: "nothing tells whether they were changed, since AES-CBC has no tag: --accept unauthenticated",
		object.ReasonPlaintext:   "they would lie unencrypted: name an encryption with --sse, or --accept plaintext",
		cse.ReasonNoEnvelope:     "they are not encrypted by a client, or their instruction file is gone; --only-client-side passes over them",
		cse.ReasonEnvelope:       "their envelope is not whole, or there are two: restore the metadata from a version or a backup",
		cse.ReasonAlgorithm:      "no client documents the algorithm that their envelope names",
		cse.ReasonLegacyWrap:     "their wrap is one of old that nobody should write any more: write them again with a client of today",
		cse.ReasonCBC:            "readers know AES-CBC under its own wrap only: leave --cse-wrap on keep",
		cse.ReasonOtherWrap:      "their data keys are under a key of another kind: give it with --source-cse-key-file, or the new one with --cse-key-file or --cse-kms-key-id",
		cse.ReasonOtherKey:       "their data keys are under another key than the one that was asked for: a job for that key takes them",
		cse.ReasonContextKept:    "their encryption context would have to change, and readers compare it",
		cse.ReasonBigMetadata:    "their metadata would pass the 2 KB that S3 takes: shorten it",
		cse.ReasonInstruction:    "their envelope is in an instruction file, which would stay beside the new object: delete it afterwards and --accept instruction-gap",
		object.ReasonExcluded:    "--operation or the selection excludes them",
		object.ReasonName:        "S3, or the file system, cannot carry their names: rename them, then begin a new job",
		object.ReasonMarker:      "they mark folders and hold no bytes; a folder is made where a file lies in it. In a new job --exclude '*/' passes over them, and over such keys that do hold bytes, which are left for their name now",
		object.ReasonConflict:    "another file or folder has their path: one key is a folder of the other, or they differ in what this file system does not tell apart; download them into a folder of their own",
		object.ReasonLink:        "they are symbolic links, or their path leads through one, and none is followed: put the file itself there",
		object.ReasonSpecial:     "they are devices, sockets or pipes, or made by the kernel while they are read (/proc): they hold no bytes to keep",
		object.ReasonClientSide:  "a client has encrypted them, and the file would lose the envelope that opens them: add --client-side none, and the raw key with --source-cse-key-file where that is what wraps",
	},
	object.Failed: {
		reason(object.ClassOther):        "look at the error code and message; then run again with --retry-failed",
		reason(object.ClassThrottled):    "the store pushed back to the end: lower --max-requests-per-second, then run again with --retry-failed",
		reason(object.ClassKMSThrottled): "KMS pushed back to the end: lower --max-kms-requests-per-second or raise the KMS quota, then --retry-failed",
		reason(object.ClassTransient):    "the store or the network failed again and again: run again with --retry-failed",
		reason(object.ClassChanged):      "another writer was faster each time: run again with --retry-failed",
		reason(object.ClassGone):         "they are not there any more; nothing to do",
		reason(object.ClassArchived):     "restore them (s3 restore-object), then run again with --retry-failed",
		reason(object.ClassKey):          "the KMS key cannot be used: enable it, or allow this role kms:Decrypt, kms:GenerateDataKey and kms:ReEncrypt* on it; then run again",
		reason(object.ClassCredentials):  "the credentials expired or were refused: renew them, then run again with --retry-failed",
		reason(object.ClassDenied):       "a permission is missing: compare with reseal iam-policy, and look for a deny in the bucket or key policy; then --retry-failed",
		reason(object.ClassInvalid):      "the store refuses the request as it is; the message says what it does not like",
		reason(object.ClassUnsupported):  "the store does not implement the request; see reseal doctor",
		reason(object.ClassNoBucket):     "the bucket is not there: check its name, region and endpoint",
		reason(object.ClassUnproved):     "the store answered with success and shows another encryption: do not trust it with this job; see reseal doctor",
		reason(object.ClassTooLarge):     "too large for one copy: leave --operation on auto, so that they are copied in parts",
		reason(object.ClassCanceled):     "the run was stopped while they were in flight: run again with --retry-failed",
		reason(object.ClassNoUpload):     "their multipart upload was removed, perhaps by a lifecycle rule: run again with --retry-failed",
		reason(object.ClassFull):         "the store had no room for them, or a quota was used up: make room, then run again with --retry-failed",
		reason(object.ClassKMSAway):      "the KMS did not answer the store: bring it back, then run again with --retry-failed",
		reason(object.ClassUnreachable):  "no connection to the store: check endpoint, DNS and network, then run again with --retry-failed",
	},
}

// reason is the word of a class in the report.
func reason(c object.Class) object.Reason { return object.Reason(c.String()) }
