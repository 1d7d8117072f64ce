package conformance

import (
	"slices"
	"strings"
)

// difference is a fact that a server does not have as AWS has it.
type difference struct {
	servers []string
	// fact is CHECK: NAME as the check states it; a star stands for any text.
	fact string
	got  string
	why  string
}

func (d *difference) on(server string) bool { return slices.Contains(d.servers, server) }

var (
	onEmbedded = []string{embedded, embeddedTLS}
	onMinIO    = []string{minio, minioKES}
	onKES      = []string{minioKES}
)

// differences are all that is known. The engine must live with every one.
var differences = differenceList{
	// Keys.
	{onMinIO, "odd keys: double slash", "refused", "keys are paths on its disks, and a path has no empty element"},
	{onMinIO, "odd keys: only a slash", "refused", "as above"},
	{onMinIO, "odd keys: leading slash", "taken for another key", "the slash is dropped: listings show the key without it, under which it is found"},
	{onMinIO, "odd keys: dot", "refused", "keys are paths, and . is no name"},
	{onMinIO, "odd keys: dot dot", "refused", "keys are paths, and .. is no name"},
	{onMinIO, "odd keys: leading dot dot", "refused", "keys are paths, and .. is no name"},
	{onMinIO, "odd keys: a segment of 1000 bytes", "refused", "a name on its disks has 255 bytes at most"},
	{onMinIO, "odd keys: trailing slash, multipart", "invalid", "what ends in a slash is a folder, which no upload can make: only CopyObject re-encrypts it"},
	{onMinIO, "odd keys, versioned: trailing slash", "not kept", "folders have no versions: each PUT and copy replaces the one there is"},
	{onMinIO, "list: an object below the name of another", "not listed", "a listing does not look below an object: n/below is hidden while n exists, by HEAD it can be reached"},

	// Encryption.
	{onMinIO, "head: encryption of a plain PUT", "none", "no default encryption, as AWS before 2023"},
	{onMinIO, "encrypt: * to dsse A", "invalid", "no DSSE-KMS"},
	{onMinIO, "encrypt: put dsse A", "refused", "no DSSE-KMS"},
	{onMinIO, "encrypt, multipart: * to dsse A", "invalid", "no DSSE-KMS"},
	{onMinIO, "encrypt, multipart: put dsse A", "refused", "no DSSE-KMS"},
	{onMinIO, "encrypt: * to key A with bucket key", "done, the bucket key ignored", "no bucket keys"},
	{onMinIO, "encrypt, multipart: * to key A with bucket key", "done, the bucket key ignored", "no bucket keys"},
	{onMinIO, "encrypt: key A with context to key A", "cannot be read any more", contextLost},
	{onMinIO, "encrypt: key A with context to key A with bucket key", "cannot be read any more", contextLost},
	{onKES, "encrypt: key A with context to key B", "cannot be read any more", contextLost},
	{onMinIO, "KMS context: shown by HEAD", "eyJwcm9qZWN0IjoicmVzZWFsIn0=", "AWS never shows it"},
	{onMinIO, "update: sse-s3 to key A", "the object is overwritten", "no UpdateObjectEncryption: the request is taken for a PutObject"},
	{onMinIO, "multipart: create shows the encryption", "unknown", "the reply has no header for it; HEAD proves"},

	// Conditions.
	{onMinIO, "copy conditions: destination ETag, wrong", "done", "CopyObject ignores If-Match; an upload's end honours it, which is what --guard strict uses"},
	{onMinIO, "copy conditions: destination absent, and it is there", "done", "CopyObject ignores If-None-Match; an upload's end honours it"},
	{onMinIO, "copy conditions: destination ETag, and it is not there", "done", "CopyObject ignores If-Match"},

	{onKES, "rewrite customer keys: into it", "invalid", otherKey},
	{onKES, "rewrite customer keys: out of it", "invalid", otherKey},
	{onKES, "rewrite customer keys: into it, overwritten meanwhile", "invalid", otherKey},
	{onKES, "rewrite customer keys: from key to key, overwritten meanwhile", "invalid", otherKey},

	// What arrives.
	{onMinIO, "kept by copy: Expires", "lost", "it does not count Expires among the metadata to copy; resent it is kept"},
	{onMinIO, "kept by copy: storage class", "kept", "a copy without the header keeps the class"},
	{onMinIO, "kept by copy: redirect", "was not stored", "no static websites: a PUT drops the redirect"},
	{onMinIO, "kept by copy, all resent: redirect", "was not stored", "as above"},
	{onMinIO, "kept by multipart, all resent: redirect", "was not stored", "as above"},
	{onMinIO, "kept by multipart, all resent: with a checksum", "invalid", noPartChecksums},
	{onMinIO, "kept by multipart, all resent: checksum", "lost", noPartChecksums},
	{onMinIO, "multipart boundaries: with a checksum", "invalid", noPartChecksums},
	{onMinIO, "multipart boundaries: composite checksum by the same parts", "lost", noPartChecksums},
	{onMinIO, "multipart boundaries: composite checksum by copy", "lost", "the checksum was lost a step before, by the upload"},
	{onMinIO, "kept by rewrite: redirect", "was not stored", "as above"},
	{onMinIO, "kept grants by rewrite: read", "owner alone", "no ACLs: one in a PUT is dropped"},
	{onMinIO, "kept grants: read", "owner alone", "no ACLs: one in a PUT is dropped"},
	{onMinIO, "grants: put", "invalid", "no ACLs but private"},

	// Versions and uploads.
	{onMinIO, "delete markers: copy of the marker", "gone", "404 NoSuchKey for AWS's 400 InvalidRequest"},
	{onMinIO, "multipart errors: complete with another size", "done", "x-amz-mp-object-size is ignored"},
	{onMinIO, "multipart errors: abort of an aborted upload", "done", "204 for an upload that is not there"},

	// Details and listings.
	{onMinIO, `tags: value "é"`, "invalid", "tag values are ASCII letters, digits and a few signs"},
	{onMinIO, `tags: value "鍵"`, "invalid", "as above"},
	{onMinIO, "list with metadata: encryption of a KMS object", "sse-kms", "its extension: metadata=true shows what HEAD shows"},
	{onMinIO, "list with metadata: encryption of a plain object", "none", "its extension: metadata=true shows what HEAD shows"},

	// Errors.
	{onMinIO, "errors: copy of a version whose ID is malformed", "gone", "404 NoSuchVersion for AWS's 400 InvalidArgument"},
	{onEmbedded, "errors: head of a key of 1025 bytes", "gone", "looked up like any other key"},
}

const (
	contextLost = "its COPY directive carries the old KMS context along while the new data key is sealed without it: " +
		"nobody can open the object again. HEAD shows the context; a copy that sends one, REPLACE, or an upload is safe"
	otherKey = "If-Match of a PUT is compared by reading what is there with the customer key of the PUT, or none: " +
		"where the one there is under another encryption, the PUT is refused"
	noPartChecksums = "UploadPartCopy computes no checksum, so an upload that was created with an algorithm takes no copied part"
)

type differenceList []difference

// of prefers the fact's own name to a pattern with a star.
func (list differenceList) of(server, fact string) *difference {
	var found *difference
	for i := range list {
		d := &list[i]
		if !d.on(server) {
			continue
		}
		if d.fact == fact {
			return d
		}
		if before, after, star := strings.Cut(d.fact, "*"); star && strings.HasPrefix(fact, before) && strings.HasSuffix(fact, after) {
			found = d
		}
	}
	return found
}
