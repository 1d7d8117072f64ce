// Package planner finds what is to be done: it reads a source, selects rows,
// chooses an operation for each object and hands tasks to a sink. It changes
// nothing in any store. It promises that a plan read to its end misses no
// object of its source and holds none twice.
package planner
