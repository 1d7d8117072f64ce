package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestReleaseConfiguration: a release is made for the platforms whose licences are
// collected, and what it packs is in the repository or made by its first steps.
func TestReleaseConfiguration(t *testing.T) {
	const root = "../.."
	data, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Before struct{ Hooks []string }
		Builds []struct{ Goos, Goarch []string }
		Nfpms  []struct {
			Contents []struct{ Src, Dst string }
		}
		Archives []struct{ Files []any }
	}
	if err := yaml.Unmarshal(data, &c); err != nil || len(c.Builds) != 1 || len(c.Nfpms) != 1 || len(c.Archives) != 1 {
		t.Fatalf("%v: %+v", err, c)
	}
	var built []string
	for _, goos := range c.Builds[0].Goos {
		for _, goarch := range c.Builds[0].Goarch {
			built = append(built, goos+"/"+goarch)
		}
	}
	if !slices.Equal(built, platforms) {
		t.Errorf("built for %v, licences collected for %v", built, platforms)
	}
	var packed []string
	for _, f := range c.Nfpms[0].Contents {
		packed = append(packed, f.Src)
	}
	for _, f := range c.Archives[0].Files {
		switch f := f.(type) {
		case string:
			packed = append(packed, f)
		case map[string]any:
			packed = append(packed, f["src"].(string))
		}
	}
	hooks := strings.Join(c.Before.Hooks, "\n")
	if len(packed) < 15 {
		t.Errorf("only %v is packed", packed)
	}
	for _, f := range packed {
		made := strings.HasPrefix(f, "build/")
		if dir := strings.TrimSuffix(strings.TrimSuffix(f, "/*"), "/*.1"); made && !strings.Contains(hooks, dir) && !strings.Contains(hooks, filepath.Dir(f)+"/reseal.$s") {
			t.Errorf("nothing makes %s", f)
		}
		if _, err := os.Stat(filepath.Join(root, f)); !made && err != nil {
			t.Error(err)
		}
	}
}
