package s3store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestS6WhatAPersonIsTold(t *testing.T) {
	file := func(mode os.FileMode) string {
		name := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(name, make([]byte, 32), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, tc := range map[string]struct {
		o     Options
		files []string
		want  []string
	}{
		"nothing":             {Options{}, []string{file(0o600), file(0o400)}, nil},
		"mode 0644":           {Options{}, []string{file(0o600), file(0o644)}, []string{"everybody"}},
		"mode 0640":           {Options{}, []string{file(0o640)}, []string{"group"}},
		"no file":             {Options{}, []string{"/nonexistent", os.DevNull}, nil},
		"unverified":          {Options{NoVerifySSL: true}, nil, []string{"--ca-bundle"}},
		"unverified, a key":   {Options{NoVerifySSL: true}, []string{file(0o600)}, []string{"gets the customer keys"}},
		"unverified and 0666": {Options{NoVerifySSL: true}, []string{file(0o666)}, []string{"gets the customer keys", "everybody"}},
	} {
		got := Warnings(tc.o, tc.files...)
		ok := len(got) == len(tc.want)
		for i := 0; ok && i < len(got); i++ {
			ok = strings.Contains(got[i], tc.want[i])
		}
		if !ok {
			t.Errorf("%s: %q", name, got)
		}
	}
}
