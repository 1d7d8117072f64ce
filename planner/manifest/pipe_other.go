//go:build !unix

package manifest

// Pipes have no names that could be opened here.
const nonBlocking = 0
