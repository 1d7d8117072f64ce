// Package upload copies an object in parts, and writes again what a copy drops. It
// promises: what has to be finished or undone after a crash is in the journal before
// the request that makes it so; an upload is forgotten only once it is complete or
// aborted; and what others changed while the parts were copied is noticed before the
// upload is completed.
package upload
