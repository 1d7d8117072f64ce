package evidence

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/resealhq/reseal/engine/report"
)

// maxSmall bounds, in bytes, every file but the report itself.
const maxSmall = 64 << 20

// Checked is what a check found in order.
type Checked struct {
	Statement
	// KeyID is the SHA-256 of the public key that signed, in hex, as
	// `openssl pkey -pubin -in public.pem -outform DER | sha256sum` prints it.
	KeyID string
	// Own says that the key was the folder's own public.pem: whoever made the
	// folder could have made the key.
	Own bool
}

// BadError is evidence that is not as it was signed.
type BadError struct {
	File string
	What error
}

// Error names the file.
func (e *BadError) Error() string {
	return fmt.Sprintf("the evidence is not as it was signed: %s: %v", e.File, e.What)
}

// Unwrap gives what is wrong with it.
func (e *BadError) Unwrap() error { return e.What }

// Check looks at everything in dir: that the key signed the statement, that each
// file is the one that the statement names, that no other is there, and that the
// rows have the tree's root. A nil key takes the folder's own. Its error is a
// *BadError where something was changed.
func Check(dir string, key crypto.PublicKey) (*Checked, error) {
	c := &Checked{}
	public, err := small(dir, publicName)
	if err != nil {
		return nil, err
	}
	own, err := ParsePublic(public)
	if err != nil {
		return nil, bad(publicName, err)
	}
	if same, err := publicPEM(own); err != nil || !bytes.Equal(same, public) {
		return nil, bad(publicName, errors.New("it is not written as keys are here"))
	}
	if key == nil {
		key, c.Own = own, true
	}
	if c.KeyID = keyID(key); c.KeyID != keyID(own) {
		return nil, bad(publicName, fmt.Errorf("it is another key (%s) than the one that was given (%s)", keyID(own), c.KeyID))
	}
	statement, err := c.signed(dir, key)
	if err != nil {
		return nil, err
	}
	s, err := parseStatement(statement)
	if err != nil {
		return nil, bad(statementName, err)
	}
	c.Statement = *s
	if err := c.files(dir); err != nil {
		return nil, err
	}
	return c, c.rows(dir)
}

// signed gives the statement, once every form of it is the same.
func (c *Checked) signed(dir string, key crypto.PublicKey) ([]byte, error) {
	sealed, err := small(dir, envelopeName)
	if err != nil {
		return nil, err
	}
	statement, sig, err := open(sealed, key)
	if err != nil {
		return nil, bad(envelopeName, err)
	}
	for name, want := range map[string][]byte{statementName: statement, signedName: toSign(statement), signatureName: sig} {
		got, err := small(dir, name)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(got, want) {
			return nil, bad(name, errors.New("it is not what the envelope holds"))
		}
	}
	return statement, nil
}

// files compares each named file with its digest, and finds what is not named.
func (c *Checked) files(dir string) error {
	known := map[string]bool{statementName: true, envelopeName: true, signedName: true, signatureName: true, publicName: true}
	for _, s := range c.Subject {
		if s.Name != filepath.Base(s.Name) || known[s.Name] {
			return bad(statementName, fmt.Errorf("it names a file %q", s.Name))
		}
		known[s.Name] = true
		got, err := digestOf(dir, s.Name)
		if err != nil {
			return bad(s.Name, err)
		}
		if got != s.Digest["sha256"] {
			return bad(s.Name, fmt.Errorf("its SHA-256 is %s, and %s was signed", got, s.Digest["sha256"]))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !known[e.Name()] {
			return bad(e.Name(), errors.New("nothing that was signed speaks of it"))
		}
	}
	return nil
}

// rows plants the tree again.
func (c *Checked) rows(dir string) error {
	var t tree
	if err := eachRow(dir, func(line []byte, _ []string) error { t.add(line); return nil }); err != nil {
		return err
	}
	root := t.root()
	if t.rows != c.Predicate.Rows || hex.EncodeToString(root[:]) != c.Predicate.Root {
		return bad(csvName, errors.New("its rows are not those of the signed tree"))
	}
	return nil
}

// olderColumns is how many the report had before it told of client-side encryption;
// those that came since stand behind them.
const olderColumns = 20

// eachRow reads report.csv record by record, without its header, and gives the
// bytes of each and what they say.
func eachRow(dir string, row func(line []byte, fields []string) error) error {
	return eachLine(dir, func(line []byte) error {
		fields, err := split(line)
		if err != nil {
			return bad(csvName, err)
		}
		return row(line, fields)
	})
}

// eachLine is eachRow for who knows already what they say.
func eachLine(dir string, row func(line []byte) error) error {
	f, err := openFile(dir, csvName)
	if err != nil {
		return err
	}
	defer f.Close()
	var ahead bytes.Buffer // what was read and not yet given out
	in := csv.NewReader(io.TeeReader(f, &ahead))
	in.ReuseRecord = true // and all records are as long as the header
	for given := int64(0); ; {
		_, err := in.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return bad(csvName, err)
		}
		// Only the borders of the records are taken from the library: it drops a
		// carriage return before a line break, and a key may hold both.
		header := given == 0
		line := ahead.Next(int(in.InputOffset() - given))
		given = in.InputOffset()
		if header {
			continue
		}
		if err := row(line); err != nil {
			return err
		}
	}
}

// split takes one CSV record apart, to the byte.
func split(line []byte) ([]string, error) {
	rest, ok := strings.CutSuffix(string(line), "\n")
	if !ok {
		return nil, errors.New("a row has no end")
	}
	fields := make([]string, 0, len(report.Columns()))
	for {
		field, after := rest, ""
		more := false
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			end := 0
			for {
				i := strings.IndexByte(quoted[end:], '"')
				if i < 0 {
					return nil, errors.New("a quoted field has no end")
				}
				if end += i; !strings.HasPrefix(quoted[end:], `""`) {
					break
				}
				end += 2
			}
			field = strings.ReplaceAll(quoted[:end], `""`, `"`)
			after, more = strings.CutPrefix(quoted[end+1:], ",")
			if !more && after != "" {
				return nil, errors.New("something follows a quoted field")
			}
		} else {
			field, after, more = strings.Cut(rest, ",")
		}
		fields = append(fields, field)
		if !more {
			break
		}
		rest = after
	}
	if len(fields) != len(report.Columns()) && len(fields) != olderColumns {
		return nil, fmt.Errorf("a row has %d fields, and the report %d columns", len(fields), len(report.Columns()))
	}
	return fields, nil
}

func bad(file string, what error) error { return &BadError{File: file, What: what} }

func small(dir, name string) ([]byte, error) {
	f, err := openFile(dir, name)
	if err != nil {
		return nil, bad(name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(data) > maxSmall {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, bad(name, err)
	}
	return data, nil
}

// openFile opens an ordinary file. Whoever made the folder may have put a pipe there, which
// waits for somebody to write to it.
func openFile(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("it is no ordinary file")
	}
	return os.Open(path)
}

func digestOf(dir, name string) (string, error) {
	f, err := openFile(dir, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
