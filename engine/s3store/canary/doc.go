// Package canary finds out what a store can do, by doing it to throwaway objects:
// the very requests of the job, with bytes, headers, tags and encryption read back.
//
// It promises:
//   - nothing of anybody else is written: every key begins with what the job writes
//     below, a mark and 96 random bits, and that name is announced before the first
//     request;
//   - everything is deleted again, all versions and uploads, also after an error or a
//     cancelled context; what could not be deleted is an error, and what a killed
//     process left is removed by Sweep;
//   - a finding is what was seen. A reply that was lost is looked for and never
//     counted, a missing permission is "unknown", and what cannot be decided ends the
//     probe with an error;
//   - UpdateObjectEncryption and sub-resources, which many stores take for a PutObject,
//     go only to an object of which nothing else depends any more;
//   - it asks what the job needs and no more (see Options), so that every process can
//     afford it.
//
// It knows no HTTP: requests go through the interface Store, which s3store has.
package canary
