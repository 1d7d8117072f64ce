// Package sim plays whole nights of jobs, each drawn from one seed: a bucket, a
// store, a policy, faults, crashes, power cuts and other clients. The job is the
// real one, from job.Create to its report; what lies below it is simulated: the
// store is s3test behind connections that are only memory, the checkpoint lies on a
// file system that forgets what was not synced, and the hours are those of a test's
// own clock.
//
// After each night the same questions are asked. Is the bucket what it was, but for
// the encryption of what the report calls done? Is what the report leaves untouched?
// Is nothing left behind? Do the counters add up? Does the job end?
//
// All of it is tests: nothing that ships imports this package.
package sim
