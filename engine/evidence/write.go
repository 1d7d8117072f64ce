package evidence

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// Content is what evidence is made of. None of it may hold a key or a secret.
type Content struct {
	Job, Version string
	Rows         report.Rows
	// Documents become NAME.json once the rows were read; those of a job are summary,
	// policy, identity and verification.
	Documents map[string]any
	// Now is when the evidence is made.
	Now time.Time
}

// Write makes the folder dir, which must not exist or be empty, and signs what is
// in it. After an error the folder is incomplete, and Check says so.
func Write(ctx context.Context, dir string, c *Content, s Signer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder for the evidence: %w", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return errors.Join(fmt.Errorf("the folder %s is not empty: name another one for the evidence", dir), err)
	}
	statement := &Statement{Type: statementType, PredicateType: predicateType,
		Predicate: Predicate{Job: c.Job, Version: c.Version, Made: c.Now.UTC().Truncate(time.Second)}}
	if err := writeRows(ctx, dir, c.Rows, statement); err != nil {
		return err
	}
	for _, name := range sortedNames(c.Documents) {
		data, err := json.MarshalIndent(c.Documents[name], "", "  ")
		if err != nil {
			return fmt.Errorf("writing %s of the evidence: %w", name, err)
		}
		if err := statement.write(dir, name+".json", append(data, '\n')); err != nil {
			return err
		}
	}
	return sign(ctx, dir, statement, s)
}

func sortedNames(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// sign writes the statement, and what proves it.
func sign(ctx context.Context, dir string, statement *Statement, s Signer) error {
	data, err := statement.encode()
	if err != nil {
		return err
	}
	sealed, sig, err := seal(ctx, data, s)
	if err != nil {
		return err
	}
	public, err := publicPEM(s.Public())
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{statementName, data}, {signedName, toSign(data)}, {signatureName, sig}, {publicName, public}, {envelopeName, sealed}} {
		if err := writeNew(dir, f.name, f.data); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file and notes its digest.
func (s *Statement) write(dir, name string, data []byte) error {
	sum := sha256.Sum256(data)
	s.Subject = append(s.Subject, Subject{Name: name, Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}})
	return writeNew(dir, name, data)
}

func writeNew(dir, name string, data []byte) error {
	f, err := create(dir, name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.close())
}

// file is a new file whose digest is taken while it is written.
type file struct {
	*os.File
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func create(dir, name string) (*file, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("writing the evidence: %w", err)
	}
	return &file{File: f, sum: sha256.New()}, nil
}

func (f *file) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.sum.Write(p[:n])
	if err != nil {
		err = fmt.Errorf("writing the evidence: %w", err)
	}
	return n, err
}

func (f *file) close() error { return errors.Join(f.Sync(), f.File.Close()) }

func (f *file) subject() Subject {
	return Subject{Name: filepath.Base(f.Name()), Digest: map[string]string{"sha256": hex.EncodeToString(f.sum.Sum(nil))}}
}

// rowsInGroup bounds what the Parquet writer holds in memory.
const rowsInGroup = 50_000

// writeRows writes both forms of the report in one pass, and plants the tree.
func writeRows(ctx context.Context, dir string, rows report.Rows, s *Statement) (err error) {
	lines, err := create(dir, csvName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lines.close()) }()
	columns, err := create(dir, parquetName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, columns.close()) }()
	table := parquet.NewGenericWriter[report.Row](columns, parquet.MaxRowsPerRowGroup(rowsInGroup), parquet.Compression(&parquet.Snappy))
	buffered := newLines(lines)
	if err := buffered.write(report.Columns()); err != nil {
		return err
	}
	var t tree
	var fields []string
	err = rows.While(ctx)(func(task *object.Task, o *object.Outcome) error {
		r := report.RowOf(task, o)
		fields = r.Fields(fields)
		line, err := buffered.encode(fields)
		if err != nil {
			return err
		}
		t.add(line)
		if _, err := buffered.Write(line); err != nil {
			return err
		}
		_, err = table.Write([]report.Row{r})
		return err
	})
	if err != nil {
		return err
	}
	if err := errors.Join(buffered.Flush(), table.Close()); err != nil {
		return err
	}
	root := t.root()
	s.Predicate.Rows, s.Predicate.Root = t.rows, hex.EncodeToString(root[:])
	s.Subject = append(s.Subject, lines.subject(), columns.subject())
	return nil
}

// csvLines writes CSV records and gives each as it stands in the file, with its
// line break: these bytes are the leaves of the tree.
type csvLines struct {
	*bufio.Writer
	line   bytes.Buffer
	record *csv.Writer
}

func newLines(w io.Writer) *csvLines {
	l := &csvLines{Writer: bufio.NewWriterSize(w, 64<<10)}
	l.record = csv.NewWriter(&l.line)
	return l
}

func (l *csvLines) encode(fields []string) ([]byte, error) {
	l.line.Reset()
	if err := l.record.Write(fields); err != nil {
		return nil, err
	}
	l.record.Flush()
	return l.line.Bytes(), l.record.Error()
}

func (l *csvLines) write(fields []string) error {
	line, err := l.encode(fields)
	if err != nil {
		return err
	}
	_, err = l.Write(line)
	return err
}
