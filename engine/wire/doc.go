// Package wire sends the requests that every object costs (HeadObject,
// CopyObject, UpdateObjectEncryption, UploadPartCopy, and GetObject and PutObject of
// a whole small object) at the least cost in CPU.
// It promises: a request is written at most once, unless not one byte of it left
// this process or it changes nothing; an error says whether the request may have
// been applied (Error.NotSent); and a success has shown its proof, so that a 200
// with an error inside, an empty 200 or a copy without ETag is an error.
//
// It speaks HTTP/1.1 over its own connections: see README.md for what was
// compared and measured. There is no AWS SDK here and no policy: no retries, no
// pacing, no interpretation of error codes, which is the one table that
// Options.Classify brings in.
package wire
