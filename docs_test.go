package reseal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/resealhq/reseal/engine/object"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinks follows every link of every page that stays within the repository.
func TestLinks(t *testing.T) {
	pages := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return errOrSkip(err)
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		pages++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			checkLink(t, path, string(m[1]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if pages < 10 {
		t.Errorf("only %d pages were read", pages)
	}
}

func errOrSkip(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}

func checkLink(t *testing.T, page, target string) {
	t.Helper()
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return
	}
	file, anchor, _ := strings.Cut(target, "#")
	path := page
	if file != "" {
		path = filepath.Join(filepath.Dir(page), file)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Errorf("%s: the link %s leads nowhere", page, target)
		return
	}
	if anchor == "" || info.IsDir() {
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range heading.FindAllSubmatch(text, -1) {
		if slug(string(m[1])) == anchor {
			return
		}
	}
	t.Errorf("%s: %s has no heading for the link %s", page, path, target)
}

// slug is the anchor that a heading gets.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}

// TestReasonsAreExplained: whatever word a report can give as a reason has a row in
// the page that explains them.
func TestReasonsAreExplained(t *testing.T) {
	text, err := os.ReadFile("docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	words := declaredReasons(t)
	for c := range object.Class(object.NumClasses) {
		words = append(words, object.Reason(c.String()))
	}
	for _, w := range words {
		if !strings.Contains(string(text), "`"+string(w)+"`") {
			t.Errorf("docs/reasons.md does not explain %q", w)
		}
	}
}

var reasonConst = regexp.MustCompile(`(?m)^(?:const )?\s*\w+ +(?:object\.)?Reason += "([a-z-]+)"`)

// declaredReasons are the constants of type Reason, as they stand in the code.
func declaredReasons(t *testing.T) (words []object.Reason) {
	t.Helper()
	for _, pattern := range []string{"engine/object/*.go", "planner/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range reasonConst.FindAllSubmatch(text, -1) {
				words = append(words, object.Reason(m[1]))
			}
		}
	}
	if len(words) < 20 {
		t.Fatalf("only %d reasons were found", len(words))
	}
	return words
}
