// Package report tells people and scripts what became of a job: every object as
// CSV or JSON, the job as one HTML page, the run as one summary, and its
// progress while it goes on. It promises that every planned object has exactly
// one row, and that no report needs more memory for ten million objects than
// for ten.
//
// It reads the nouns of object, and touches nothing but what it is given to
// write to.
package report
