package job

import (
	"os"
	"path/filepath"
	"slices"
)

// ownNames are what a job keeps in its directory.
var ownNames = []string{fileName, checkpointName, logName, logName + ".1", statusName, runName, paceName, pruneName, pruneVersionsName, historyName, verifiedName,
	estimateName, probeName, claimName, divisionName, shardsName, submitName, submitDir}

// Holding is the directory of the job that keeps a file of its own at path, or in a folder of
// its own above it; empty where there is none. What is written there is lost to the job, and
// the job by it.
func Holding(path string) (dir string) {
	// As the system reads it: what ".." leads to behind a link is not what the text says.
	if folder, name := filepath.Split(path); folder != "" {
		if at, err := filepath.EvalSymlinks(folder); err == nil {
			path = filepath.Join(at, name)
		}
	}
	for at := real(path); at != filepath.Dir(at); at = filepath.Dir(at) {
		dir := filepath.Dir(at)
		if !slices.Contains(ownNames, filepath.Base(at)) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, fileName)); err == nil {
			return dir
		}
	}
	return ""
}

// Keeps says whether path leads to a file that the job in dir keeps, as a second name of it does, which
// Holding cannot tell.
func Keeps(dir, path string) bool {
	at, err := os.Stat(path)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(ownNames, func(name string) bool {
		own, err := os.Stat(filepath.Join(dir, name))
		return err == nil && os.SameFile(at, own)
	})
}
