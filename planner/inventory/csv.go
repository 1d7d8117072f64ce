package inventory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/csvline"
)

// csvRows are the rows of a CSV file, compressed or not, without a header.
type csvRows struct {
	lines *csvline.Reader
	rower rower
}

func (s *Source) csvRows(r io.Reader) (rowReader, error) {
	text, err := unzip(contextOf(r), r)
	if err != nil {
		return nil, err
	}
	rows := &csvRows{rower: s.rower(s.schema, !s.table)}
	if rows.lines = csvline.NewReader(text); s.table {
		_, err = rows.lines.Next() // the names of the columns
	}
	if err != nil && err != io.EOF {
		return nil, withoutLine(err)
	}
	return rows, nil
}

// contextOf is that which the reading of a file ends with.
func contextOf(r io.Reader) context.Context {
	if h, ok := r.(*hashing); ok {
		return h.ctx
	}
	return context.Background()
}

// unzip is the text of a file, compressed or not, without a byte order mark.
func unzip(ctx context.Context, r io.Reader) (*bufio.Reader, error) {
	text := bufio.NewReaderSize(r, 256<<10)
	head, err := text.Peek(2)
	if err == io.EOF && len(head) == 0 {
		return nil, errors.New("it is empty, and not even a compressed file of no rows")
	}
	plain, err := planner.Unzip(ctx, text)
	if err != nil {
		return nil, err
	}
	if plain != io.Reader(text) {
		text = bufio.NewReaderSize(plain, 64<<10)
	}
	if head, _ := text.Peek(3); string(head) == "\ufeff" {
		_, _ = text.Discard(len(head)) // it is there
	}
	return text, nil
}

func (s *Source) rower(schema *schema, encoded bool) rower {
	return rower{schema: schema, bucket: s.bucket, encoded: encoded, versions: s.opt.AllVersions, table: s.table}
}

func (r *csvRows) next(o *object.Object) (bool, error) {
	fields, err := r.lines.Next()
	if err != nil {
		return false, withoutLine(err)
	}
	return r.rower.object(fields, o)
}

func (r *csvRows) skip(n uint64) error {
	for ; n > 0; n-- {
		if _, err := r.lines.Next(); err != nil {
			if err == io.EOF {
				return errors.New("the file has fewer rows than were read of it before")
			}
			return withoutLine(err)
		}
	}
	return nil
}

func (r *csvRows) where() string { return fmt.Sprintf("line %d", r.lines.Line()) }

// withoutLine drops what where says already.
func withoutLine(err error) error {
	var bad *csvline.SyntaxError
	if errors.As(err, &bad) {
		return errors.New(bad.What)
	}
	return err
}
