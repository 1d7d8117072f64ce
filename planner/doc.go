// Package planner finds what is to be done: it reads a source, selects rows,
// chooses an operation for each object and hands tasks to a sink. It changes
// nothing in any store. It promises that a plan read to its end misses no
// object of its source and holds none twice.
//
// Measured on two shared cores: `reseal plan` of 10,000,000 rows of an S3 Inventory
// (20 files of CSV.gz, checked in full before the first row is taken) took 216 s and
// 53 s of CPU, 84 MB of memory at most and 68 MB at the end, and 121 MB on disk.
package planner
