package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/resealhq/reseal/engine/job"
)

// isFolder says whether an argument means a local folder: it is no address, and there is
// such a folder.
func isFolder(arg string) bool {
	if strings.HasPrefix(arg, "s3://") {
		return false
	}
	info, err := os.Stat(arg)
	return err == nil && info.IsDir()
}

// destFolder says whether --dest means one, which need not be there: then it has to be
// written as a path, since BUCKET/PREFIX looks like one too.
func destFolder(arg string) bool {
	slashed := filepath.ToSlash(arg)
	return isFolder(arg) || !strings.Contains(arg, "://") && (filepath.IsAbs(arg) || strings.HasPrefix(slashed, "./") || strings.HasPrefix(slashed, "../"))
}

// refuseFolder is for the verbs that are about what lies in a store.
func refuseFolder(verb string, src *job.Source) error {
	if src.Folder == "" {
		return nil
	}
	return unusablef("name a bucket as s3://BUCKET[/PREFIX]", "%s: %s is a folder of this machine, and nothing in it is encrypted by a store", verb, src.Folder)
}

// fileOf is a file of the folder that the job in dir uploads, by its path below that; empty
// where it is none.
func fileOf(arg, dir string) (folder, path string) {
	if strings.HasPrefix(arg, "s3://") || dir == "" {
		return "", ""
	}
	j, err := job.Open(dir)
	if err != nil || j.Spec.Source.Folder == "" {
		return "", ""
	}
	abs, err := absSlashed(arg)
	if err != nil {
		return "", ""
	}
	path, below := strings.CutPrefix(abs, strings.TrimSuffix(filepath.ToSlash(j.Spec.Source.Folder), "/")+"/")
	if !below {
		return "", ""
	}
	return j.Spec.Source.Folder, path
}

// absSlashed is a path as rows have it: whole, with slashes, the last one kept, by which
// reports tell a folder that could not be read.
func absSlashed(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if path = filepath.ToSlash(path); strings.HasSuffix(path, "/") && !strings.HasSuffix(abs, "/") {
		abs += "/"
	}
	return filepath.ToSlash(abs), err
}
