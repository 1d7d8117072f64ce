// Package inventory reads S3 Inventory reports: a manifest.json and its CSV,
// Parquet or ORC files, from a bucket or from disk. It promises that a report
// that is damaged, incomplete or of another bucket gives out no row at all, that
// every row of a good one comes out once, also over several processes, and that
// nothing is made up: what a report does not tell stays untold.
//
//	Open    reads the manifest, or finds the newest complete one of a folder
//	Check   reads every file to its end: MD5, structure, every row
//	Read    Check, unless an earlier process did, then the rows
//
// OpenTable reads what Athena wrote of the live inventory of S3 Metadata, one
// Parquet file or CSV with a header, and promises the same.
//
// Columns are found by name, in any order and subset; Bucket and Key must be
// there. A column that is not known is refused: it may change what a row means.
package inventory
