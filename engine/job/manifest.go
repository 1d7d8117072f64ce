package job

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/resealhq/reseal/planner/inventory"
	"github.com/resealhq/reseal/planner/manifest"
)

// openManifest opens what Source.Manifest names, and freezes which file that was:
// "the newest report" is another one tomorrow.
func (s *session) openManifest(ctx context.Context) (err error) {
	src := &s.job.Spec.Source
	uri := firstNonEmpty(src.Opened, src.Manifest)
	if uri != manifest.Stdin && !inventory.Remote(uri) && !manifest.IsTable(uri) {
		if uri, err = filepath.Abs(uri); err != nil {
			return unusableBecause(err, "Source.Manifest "+src.Manifest, "name it by its full path")
		}
		if err := refuseFolder(uri); err != nil {
			return err
		}
	}
	if !s.job.begun { // a list that an order left behind that became no job is not this one's
		if err := os.Remove(filepath.Join(s.dir, manifest.Spooled)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unusableBecause(err, "the job directory "+s.dir, "name a directory that you can write to")
		}
	}
	s.manifest, err = manifest.Open(ctx, manifest.Options{URI: uri, Format: manifest.Format(src.ManifestFormat), Bucket: src.Bucket,
		S3: inventory.Buckets{Store: s.store}, Tables: s.store, Stdin: s.opt.Stdin, SpoolDir: s.dir, TempDir: os.TempDir(), AllVersions: s.job.Spec.Selection.Versions == "all", Files: s.job.Part.files()})
	if err != nil {
		return err
	}
	src.Opened = s.manifest.URI
	s.log.Info("manifest opened", "uri", s.manifest.URI, "what", s.manifest.What, "bucket", s.manifest.Bucket())
	return nil
}

// refuseFolder refuses a local folder: only in a bucket a folder is where the
// newest report is looked for.
func refuseFolder(uri string) error {
	if info, err := os.Stat(uri); err == nil && info.IsDir() && !inventory.Remote(uri) {
		return unusablef("name the manifest.json or the list within it", "Source.Manifest %s is a folder", uri)
	}
	return nil
}
