package s3store

import (
	"fmt"
	"os"
	"runtime"
)

// Warnings are what a person should be told before a job with these options
// begins. keyFiles are the files with customer keys that it reads.
func Warnings(o Options, keyFiles ...string) (told []string) {
	if o.NoVerifySSL && len(keyFiles) > 0 {
		told = append(told, "--no-verify-ssl: whoever answers under this name gets the customer keys; give the store's certificate with --ca-bundle instead")
	} else if o.NoVerifySSL {
		told = append(told, "--no-verify-ssl: nobody checks who answers under this name; give the store's certificate with --ca-bundle instead")
	}
	for _, name := range keyFiles {
		if others := readableByOthers(name); others != "" {
			told = append(told, fmt.Sprintf("the key file %q can be read by %s: chmod 600 it, and make a new key if somebody may have", name, others))
		}
	}
	return told
}

// readableByOthers says who but the owner can read a file; empty for nobody, and
// where permissions do not tell (Windows, pipes).
func readableByOthers(name string) string {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || runtime.GOOS == "windows" {
		return ""
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o006 != 0:
		return "everybody on this machine"
	case mode&0o060 != 0:
		return "its group"
	}
	return ""
}
