// Package pace decides when a request may be sent. It promises that a run finds
// the rate at which the store and the KMS do not push back, gives way within
// one round trip when they do, comes back as soon as they allow it, and never
// exceeds a ceiling that a person set.
//
// Four calculators, each a pure function of its state and of what was seen:
//
//	rate         requests a second against one limit of the store: S3 by key
//	             prefix, KMS by key. Unbounded until the store throttles.
//	concurrency  requests in flight, by throughput and latency.
//	floor        which refusals come at any rate, and are no reason to slow down.
//	split        which prefixes have a limit of their own, and whether changes have.
//
// Whoever chooses what to do next is told by Full where requests wait, and tells by Spread
// which prefixes it works on beside each other; see package dispatch.
//
// Pacer is the thin shell that waits: it counts replies, steps the calculators
// ten times a second on the goroutine of whoever comes by, and lets calls
// through in order of arrival. There is no goroutine and nothing to close.
package pace
