package look

import "github.com/resealhq/reseal/engine/object"

// MayHide says whether an object that is shown without a checksum may have one: MinIO shows
// what is encrypted so, by a 200, where its KMS does not answer at that moment. Whatever then
// uses the key fails, or comes after the KMS is back, when another look shows it. AWS refuses
// to show a checksum that it cannot read (see object.RefusesChecksums), and most of what was
// written there before 2025 has none: looking at all that again would double the HEADs.
func MayHide(o *object.Object, caps *object.Capabilities) bool {
	return o.ChecksumAlgorithm == "" && o.Encryption.Type != object.SSENone && caps.Checksums == object.Yes && !caps.IsAWS()
}

// Revealed says whether a later look shows a checksum that an earlier one did not.
func Revealed(before, now *object.Object) bool {
	return before.ChecksumAlgorithm == "" && now.ChecksumAlgorithm != ""
}
