// Package checkpoint remembers the plan of a job and what became of every
// object in it. It promises: after a crash at any instant an object has an
// outcome only if one was recorded for it; every planned object without one is
// given out again; and every object to which an earlier process may have sent
// something is marked InDoubt. README.md is the specification.
//
// A Store implements the sink of the planner and the journals of the engine,
// and knows neither of them.
package checkpoint
