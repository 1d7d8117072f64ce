// Package folder is a local folder as one end of a job: a Source whose files are read as
// objects are, and a Dest that objects are written to as files. It promises:
//
//   - Nothing outside the folder is read or written. No symbolic link is followed below it,
//     neither as a file nor on the way to one, whoever puts one there meanwhile.
//   - A file that changed while it was read is an error of ClassChanged, never half of the
//     one and half of the other.
//   - A file has its own name only when it is whole and on disk. Until then it has one that
//     begins with object.PartialName and holds what only this job knows, so that whatever a
//     process leaves that died can be told to be its own, and nothing else is ever removed.
//   - What stands at a name is never overwritten, also if it came a moment ago.
//
// Errors are *object.Error, as those of every store are. Nothing in it is remote: no answer
// is ever lost, and nothing is sent twice.
package folder
