package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a directory: reseal(1) and one for each verb",
		Long: `man writes the manual pages, made from the same tables as --help. Packages bring them
along; beside a binary that was downloaded they are one command away.`,
		Example: "  reseal man ~/.local/share/man/man1\n  man reseal-run",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return unusable("man: DIR is missing", "name a directory, such as ~/.local/share/man/man1")
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return unusableBecause(err, "man: "+args[0], "name a directory that can be written")
			}
			for _, c := range pages(cmd.Root()) {
				path := filepath.Join(args[0], pageName(c)+".1")
				err := writeAtomically(path, func(w io.Writer) error { return writePage(w, c) })
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// pages are the commands that have a page: all that help shows.
func pages(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, verb := range c.Commands() {
		if verb.IsAvailableCommand() {
			all = append(all, pages(verb)...)
		}
	}
	return all
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// writePage writes one in man's own macros. By hand, like help: see printUsage.
func writePage(to io.Writer, c *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"reseal %s\" \"reseal\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(pageName(c))), roff(readVersion().Version), roff(pageName(c)), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.nf\n%s\n", roff(c.UseLine()))
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "%s COMMAND\n", roff(c.CommandPath()))
	}
	b.WriteString(".fi\n")
	if c.Long != "" {
		b.WriteString(".SH DESCRIPTION\n")
		paragraphs(&b, c.Long)
	}
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	if c.HasAvailableSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, verb := range c.Commands() {
			if verb.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(pageName(verb)), roff(verb.Short))
			}
		}
	}
	options(&b, c.LocalFlags())
	if c.HasParent() {
		b.WriteString(".SH ENVIRONMENT\nEach flag can be given as RESEAL_ and its name in capitals, with underscores: RESEAL_MAX_FAILURES for \\-\\-max\\-failures.\n" +
			".SH SEE ALSO\n.BR reseal (1)\n")
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// options are the flags in the order of help.
func options(b *strings.Builder, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	b.WriteString(".SH OPTIONS\n")
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(b, ".TP\n.B %s", roff(name))
		if kind != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", roff(kind))
		}
		fmt.Fprintf(b, "\n%s\n", roff(usage))
	})
}

// paragraphs keeps lines that are indented as they are, and fills the others.
func paragraphs(b *strings.Builder, text string) {
	verbatim := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch indented := strings.HasPrefix(line, "  "); {
		case line == "":
			b.WriteString(".PP\n")
			continue
		case indented != verbatim:
			b.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[indented])
			verbatim = indented
		}
		b.WriteString(roff(line) + "\n")
	}
	if verbatim {
		b.WriteString(".fi\n")
	}
}

// roff is text that man prints as it is: a line that begins with a dot or a quote would
// be a macro, and a hyphen is not a minus.
func roff(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	var b strings.Builder
	for _, r := range strings.Join(lines, "\n") {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	return b.String()
}
