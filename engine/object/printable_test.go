package object

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestS4WhatReachesATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"a b/ä é 漢字 🎉.txt":               "a b/ä é 漢字 🎉.txt",
		"\x1b[2Jgone":                    `\x1b[2Jgone`,
		"a\nverified\r\t\x00\x7f":        `a\nverified\r\t\x00\x7f`,
		"\u009b31m":                      `\u009b31m`,
		"a\u202ecod.exe\u2066":           `a\u202ecod.exe\u2066`,
		"\u2028\u2029\u200f\ufeff\u061c": `\u2028\u2029\u200f\ufeff\u061c`,
		"\xff\x9b\xc3":                   `\xff\x9b\xc3`,
		"\uFFFD":                         "\uFFFD",
		"\U000e0041":                     `\U000e0041`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
	ref := Ref{Bucket: "b", Key: "k\x1b[31m\nverified", VersionID: "v\u202e"}
	if got := Printable(ref.String()); got != `s3://b/k\x1b[31m\nverified?versionId=v\u202e` {
		t.Error(got)
	}
	e := &Error{Op: "HeadObject", Ref: ref, Code: "C\x1b", Message: "m\nm", RequestID: "\u009b", HTTPStatus: 400, Hint: "h\x07"}
	if got := e.Error(); got != Printable(got) || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "k", "\x1b]0;x\a", "\u202e", "\xff\u009b", "\xef", "\U000e0041"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) {
			t.Fatalf("%q becomes %q, which is no UTF-8", s, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029 {
				t.Fatalf("%q becomes %q", s, got)
			}
		}
		if again := Printable(got); again != got {
			t.Fatalf("%q becomes %q and then %q", s, got, again)
		}
	})
}

// A shell reads the word as it was, and nothing else happens.
func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"/jobs/one":           "/jobs/one",
		"s3://state/jobs/a=b": "s3://state/jobs/a=b",
		"jobs/é漢":             "jobs/é漢",
		"":                    "''",
		"my jobs/one":         "'my jobs/one'",
		"it's":                `'it'\''s'`,
		"~me":                 "'~me'",
		"$(reboot)`x`;*":      "'$(reboot)`x`;*'",
		"a\nb'\\\x1b[31m":     `$'a\nb\'\\\x1b[31m'`,
		"\u202ea\xff":         `$'\u202ea\xff'`,
	} {
		got := ShellWord(in)
		if got != want {
			t.Errorf("%q becomes %s", in, got)
		}
		bash, err := exec.LookPath("bash")
		if err != nil {
			continue // the words above were read by one
		}
		cmd := exec.Command(bash, "-c", "printf %s "+got)
		cmd.Env = []string{"LC_ALL=C.UTF-8"}
		if out, err := cmd.Output(); err != nil || string(out) != in {
			t.Errorf("a shell reads %s as %q: %v", got, out, err)
		}
	}
}
