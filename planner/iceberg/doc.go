// Package iceberg reads the metadata of an Apache Iceberg table: which data files the rows of
// one snapshot lie in, and which of those rows were deleted. It promises that nothing is
// guessed: a table, a file or a deletion of a kind that it does not know is an error.
//
//	Load      the table's metadata (JSON), its manifest list and manifests (Avro)
//	Vector    a deletion vector out of a Puffin file
//
// Versions 1 to 3 of the format are read. Data files and files of deletions are Parquet; what
// is in them is for others to read. Encrypted tables are refused.
package iceberg
