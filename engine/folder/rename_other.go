//go:build !linux

package folder

import "os"

// rename gives a file its name, unless something has it.
func rename(dir *os.Root, from, to string) error { return byLink(dir, from, to) }
