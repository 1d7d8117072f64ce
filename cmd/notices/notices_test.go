package main

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestComplete: every module that the linker put into a binary has its licences in the
// notices, and a line in the list of parts.
func TestComplete(t *testing.T) {
	t.Chdir("../..")
	binary := filepath.Join(t.TempDir(), "reseal")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/reseal")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) < 30 {
		t.Fatalf("only %d modules in the binary", len(info.Deps))
	}
	cgo := "CGO_ENABLED=0"
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" {
			cgo = "CGO_ENABLED=" + s.Value
		}
	}
	parts, err := linked("./cmd/reseal", []string{runtime.GOOS + "/" + runtime.GOARCH}, cgo)
	if err != nil {
		t.Fatal(err)
	}
	text, err := notices(parts)
	if err != nil {
		t.Fatal(err)
	}
	list, err := bill(parts)
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct{ Components []component }
	if err := json.Unmarshal(list, &sbom); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range sbom.Components {
		listed[c.Name+" "+c.Version] = true
	}
	for _, d := range info.Deps {
		at := d.Path + " " + d.Version
		if !strings.Contains(string(text), "\n"+at+": ") {
			t.Errorf("the notices have no licence of %s", at)
		}
		if !listed[at] {
			t.Errorf("the list of parts lacks %s", at)
		}
	}
	for _, want := range []string{"Go's standard library and runtime", "Apache License", "Redistribution and use in source and binary forms"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the notices do not say %q", want)
		}
	}
}

// TestWithoutLicence: a part without one is an error, and a program is none.
func TestWithoutLicence(t *testing.T) {
	dir := t.TempDir()
	p := part{Path: "example.com/m", Version: "v1.0.0", root: dir, dirs: []string{dir}}
	for _, name := range []string{"license.go", "README.md", "licensed.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := notices([]part{p}); err == nil || !strings.Contains(err.Error(), "example.com/m v1.0.0 has no licence") {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"LICENSE.txt", "NOTICE", "COPYING-xyz"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := notices([]part{p, p})
	if err != nil || strings.Count(string(text), "text of NOTICE") != 1 || !strings.Contains(string(text), "text of COPYING-xyz") {
		t.Errorf("%v: %s", err, text)
	}
}
