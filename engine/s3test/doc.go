// Package s3test is an embedded S3 that speaks real HTTP (or HTTPS) on a
// loopback port and keeps everything in memory. It promises AWS's semantics for
// what a re-encryption can touch: conditions, versions, multipart uploads,
// encryption, checksums, locks, and exactly what a copy loses. It checks
// signatures, can play the stores that differ (see Profile), fails on demand by
// rules that are data (see package fault), and keeps a log of every request, so that
// a test can assert what went over the wire.
//
// A test seeds a bucket by Put, takes a Snapshot, lets the program under test
// work, and asks package check, which names every difference that was neither intended
// nor unavoidable.
package s3test
