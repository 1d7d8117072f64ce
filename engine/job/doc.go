// Package job does a job from beginning to end: it brings every object of a
// bucket under the encryption that is asked for, in place, once, and can prove it.
// It is reseal as a library; the command line is one of its callers.
//
// It promises what reseal promises. A store that cannot be trusted with the job is
// refused before anything is touched. Nothing is lost: an object that would lose
// something is left as it was, and its row says why. Nothing is skipped and nothing
// is done twice: after a crash at any instant, Open and Run take up exactly the
// rest. An object counts as done only if the store was seen to show the target.
//
//	j, err := job.Create(dir, job.Spec{
//		Source: job.Source{Bucket: "uploads"},
//		Target: job.Target{SSE: object.SSEKMS, KMSKeyID: "alias/new"},
//	}, job.Policy{})
//	…
//	defer j.Close()
//	summary, err := j.Run(ctx, job.Options{})
//
// What never changes of a job is its [Spec]; how objects may be treated is its
// [Policy], recorded with it; how fast and how long one process works are its
// [Limits], said anew by every [Options]. Credentials come from where every AWS
// tool finds them, and are never written.
//
// An error of Plan or Run means that it stopped; objects that were left or failed
// are no error: the summary counts them, and Report names them. [UnusableError]
// (and planner.UnusableError, of a manifest) means that nothing was touched.
package job
