package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// WriteTable writes the rows for a person at a terminal of that many columns (0 for
// any number): what became of each object, and why. A message that does not fit is
// cut; a key never is.
func WriteTable(w io.Writer, rows Rows, width int) error {
	out := bufio.NewWriter(w)
	line := func(state, operation, reason, key, message string) error {
		text := fmt.Sprintf("%-9s  %-9s  %-18s  %s", state, operation, reason, key)
		if room := width - len([]rune(text)) - 2; width <= 0 || room > 1 {
			text += "  " + fit(message, room)
		}
		_, err := fmt.Fprintln(out, strings.TrimRight(text, " "))
		return err
	}
	if err := line("STATE", "OPERATION", "REASON", "OBJECT", ""); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	err := rows(func(t *object.Task, o *object.Outcome) error {
		r := RowOf(t, o)
		if err := line(r.State, r.Operation, string(r.Reason), object.Printable(t.Object.String()), object.Printable(r.Message)); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// fit cuts a text to so many characters.
func fit(text string, width int) string {
	r := []rune(text)
	if len(r) <= width || width < 1 {
		return text
	}
	return string(r[:width-1]) + "…"
}
