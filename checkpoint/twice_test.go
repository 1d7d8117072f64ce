package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRefusedTwice: what is refused once is refused the next time too, in the same words,
// by whoever runs and whoever reads.
func TestRefusedTwice(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"no seal": {func(dir string) error { return os.Remove(filepath.Join(dir, storeDir, sealName)) }, "the file SEAL is missing"},
		"a table": {func(dir string) error {
			tables, err := filepath.Glob(filepath.Join(dir, storeDir, dbDir, "*.sst"))
			if err != nil {
				return err
			}
			data, err := os.ReadFile(tables[0])
			if err != nil {
				return err
			}
			data[100] ^= 0xff
			return os.WriteFile(tables[0], data, 0o600)
		}, "checksum mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			must(t, s.Append(tasks(0, 500), nil))
			must(t, s.Close())
			must(t, c.spoil(dir))
			for range 2 {
				_, running := Open(dir, Options{Job: [32]byte{1}})
				_, reading := OpenSnapshot(dir, Options{})
				for verb, err := range map[string]error{"run": running, "read": reading} {
					if err == nil || strings.Count(err.Error(), c.want) != 1 || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "restore the whole job directory") {
						t.Errorf("%s: %v", verb, err)
					}
				}
			}
		})
	}
}

// TestReadersKnowTheirJob: a reader that names its job is given no other one.
func TestReadersKnowTheirJob(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(tasks(0, 5), nil))
	for _, beside := range []bool{true, false} {
		if _, err := OpenSnapshot(dir, Options{Job: [32]byte{2}}); err == nil || !strings.HasPrefix(err.Error(), "job directory "+dir+" holds another job") {
			t.Errorf("beside a run %v: %v", beside, err)
		}
		r, err := OpenSnapshot(dir, Options{Job: [32]byte{1}})
		must(t, err)
		must(t, r.Close())
		if beside {
			must(t, s.Close())
		}
	}
}
