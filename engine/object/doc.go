// Package object holds the nouns that the whole house speaks in: what an
// object is, how it is encrypted, what is to be done with it and what came of
// it. It imports the standard library only, performs no I/O, and imports no
// other package of reseal; every other package may import it.
//
// Conventions, everywhere in the house:
//   - keys are the raw bytes that S3 stores, never URL-encoded;
//   - ETags stand without quotes;
//   - times are UTC; sizes are bytes;
//   - an empty StorageClass means STANDARD, as S3 itself omits it;
//   - an empty VersionID means "the current version"; "null" is S3's own name
//     for the version written while versioning was off or suspended.
package object
