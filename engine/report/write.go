package report

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Rows walks all planned objects of a job in order, each with its outcome or nil
// where it remains, and ends with the walker's error. The checkpoint's Rows is one.
type Rows func(row func(*object.Task, *object.Outcome) error) error

// Filter says which rows are wanted; what it leaves empty does not restrict them.
type Filter struct {
	States  []object.State
	Reasons []object.Reason
	// KeyPrefix is how the keys begin.
	KeyPrefix string
}

// String says which rows are wanted; empty for all.
func (f *Filter) String() string {
	var parts []string
	add := func(name string, values []string) {
		if len(values) > 0 {
			parts = append(parts, name+" "+strings.Join(values, " or "))
		}
	}
	var states, reasons []string
	for _, s := range f.States {
		states = append(states, s.String())
	}
	for _, r := range f.Reasons {
		reasons = append(reasons, string(r))
	}
	add("state", states)
	add("reason", reasons)
	if f.KeyPrefix != "" {
		add("keys that begin with", []string{f.KeyPrefix})
	}
	return strings.Join(parts, ", ")
}

// Where passes the rows that the filter wants.
func (rows Rows) Where(f Filter) Rows {
	if len(f.States) == 0 && len(f.Reasons) == 0 && f.KeyPrefix == "" {
		return rows
	}
	return func(row func(*object.Task, *object.Outcome) error) error {
		return rows(func(t *object.Task, o *object.Outcome) error {
			if !f.wants(t, o) {
				return nil
			}
			return row(t, o)
		})
	}
}

// While gives rows out until the context ends.
func (rows Rows) While(ctx context.Context) Rows {
	return func(row func(*object.Task, *object.Outcome) error) error {
		return rows(func(t *object.Task, o *object.Outcome) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return row(t, o)
		})
	}
}

// Then does something once all rows were given out: what tells of them in numbers has to
// add up with them, also while processes are at work.
func (rows Rows) Then(do func() error) Rows {
	return func(row func(*object.Task, *object.Outcome) error) error {
		if err := rows(row); err != nil {
			return err
		}
		return do()
	}
}

func (f *Filter) wants(t *object.Task, o *object.Outcome) bool {
	reason := t.Reason
	if o != nil {
		reason = o.Reason
	}
	return (len(f.States) == 0 || slices.Contains(f.States, stateOf(o))) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, reason)) &&
		strings.HasPrefix(t.Object.Key, f.KeyPrefix)
}

func stateOf(o *object.Outcome) object.State {
	if o == nil {
		return object.Remaining
	}
	return o.State
}

// WriteCSV writes a header and one line an object, quoted as RFC 4180 has it,
// lines ending in \n. Keys stand as they are, line breaks and all.
func WriteCSV(w io.Writer, rows Rows) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns[:]); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	fields := make([]string, 0, len(columns))
	err := rows(func(t *object.Task, o *object.Outcome) error {
		r := RowOf(t, o)
		fields = r.Fields(fields)
		if err := out.Write(fields); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// WriteJSON writes an array with one object a row, one row a line. A key that is
// not UTF-8 stands in key_base64 too.
func WriteJSON(w io.Writer, rows Rows) error {
	out := bufio.NewWriterSize(w, 64<<10)
	separator := "[\n"
	err := rows(func(t *object.Task, o *object.Outcome) error {
		b, err := json.Marshal(RowOf(t, o))
		if err != nil {
			return err
		}
		_, _ = out.WriteString(separator) // bufio keeps the first error for Flush
		separator = ",\n"
		if _, err := out.Write(b); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if separator == "[\n" {
		_, _ = out.WriteString("[")
	}
	_, _ = out.WriteString("\n]\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
