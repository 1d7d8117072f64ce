package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestManPages: each command that help shows has a page, with all that help says of it,
// and nothing in a page passes for a macro that is none.
func TestManPages(t *testing.T) {
	t.Parallel()
	root := newRoot(&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
	all := pages(root)
	if len(all) < 20 {
		t.Fatalf("only %d pages", len(all))
	}
	macros := map[string]bool{".TH": true, ".SH": true, ".nf": true, ".fi": true, ".PP": true, ".TP": true, ".B": true, ".BR": true}
	for _, c := range all {
		var b strings.Builder
		if err := writePage(&b, c); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for line := range strings.Lines(page) {
			if word, _, _ := strings.Cut(strings.TrimRight(line, "\n"), " "); strings.HasPrefix(word, ".") && !macros[word] || strings.HasPrefix(line, "'") {
				t.Errorf("%s: %q passes for a macro", c.CommandPath(), line)
			}
		}
		flags := 0
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			flags++
			kind, usage := pflag.UnquoteUsage(f)
			if strings.Contains(kind, " ") { // what stands between backquotes is taken for the value's name
				t.Errorf("%s: --%s takes a %q", c.CommandPath(), f.Name, kind)
			}
			if !strings.Contains(page, roff("--"+f.Name)) || !strings.Contains(page, roff(usage)) {
				t.Errorf("%s: the page does not explain --%s", c.CommandPath(), f.Name)
			}
		})
		if flags == 0 && !c.HasAvailableSubCommands() && c.Name() != "completion" && c.Name() != "man" {
			t.Errorf("%s has no flag", c.CommandPath())
		}
		for _, verb := range c.Commands() {
			if verb.IsAvailableCommand() && !strings.Contains(page, ".BR "+roff(pageName(verb))+" (1)") {
				t.Errorf("%s does not name %s", c.CommandPath(), verb.Name())
			}
		}
	}
	for text, want := range map[string]string{".so /etc/passwd": `\&.so /etc/passwd`, "a\n'b": "a\n\\&'b", `C:\x-y`: `C:\ex\-y`, "…": `\[u2026]`} {
		if got := roff(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
