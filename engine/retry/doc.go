// Package retry sends requests until they succeed or cannot. It promises: every
// attempt passes the pace and the observer; a mutation that may have been applied is
// never sent again before the store was asked; and once the run is stopping, nobody
// waits for another attempt, and only what was begun is brought to its end.
package retry
