package csvline

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(r io.Reader) (records [][]string, err error) {
	for c := NewReader(r); ; {
		fields, err := c.Next()
		if err == io.EOF {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		rec := make([]string, len(fields))
		for i, f := range fields {
			rec[i] = string(f)
		}
		records = append(records, rec)
	}
}

func TestRecords(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", "[]"},
		{"\n\r\n\n", "[]"},
		{"a", "[[a]]"},
		{"a,b\nc,d", "[[a b] [c d]]"},
		{"a,b\r\nc,d\r\n", "[[a b] [c d]]"},
		{"a\r", "[[a]]"},
		{"a\rb,c\n", "[[a\rb c]]"},
		{",\n", "[[ ]]"},
		{`"a","b"` + "\n" + `"c","d"`, "[[a b] [c d]]"},
		{`"a""b",""` + "\n", `[[a"b ]]`},
		{`"""",x`, `[[" x]]`},
		{`"a` + "\n" + `b",c` + "\n" + `d`, "[[a\nb c] [d]]"},
		{`""` + "\n" + `x`, "[[x]]"},
		{"a,b\n\n\nc\n", "[[a b] [c]]"},
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(tc.in), "bytewise": iotest.OneByteReader(strings.NewReader(tc.in)),
			"data with the end": iotest.DataErrReader(strings.NewReader(tc.in))} {
			got, err := readAll(r)
			if err != nil || fmt.Sprint(got) != tc.want && !(len(got) == 0 && tc.want == "[]") {
				t.Errorf("%q, %s: %q, %v; want %s", tc.in, name, got, err, tc.want)
			}
		}
	}
}

func TestBadRecords(t *testing.T) {
	for in, line := range map[string]int{
		"a,b\nc\"d,e\n":            2,
		"a\n\n\"b\n\nc":            3,
		"\"a\nb\"\n\"c\"d,e":       3,
		"x\n\"a\" ,b\n":            2,
		"x\r\n\r\n\r\ny\r\n\"a\"b": 5,
	} {
		_, err := readAll(strings.NewReader(in))
		var bad *SyntaxError
		if !errors.As(err, &bad) || bad.Line != line {
			t.Errorf("%q: %v, want an error on line %d", in, err, line)
		}
	}
}

func TestErrorsOfTheSource(t *testing.T) {
	boom := errors.New("boom")
	got, err := readAll(io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(boom)))
	if !errors.Is(err, boom) || fmt.Sprint(got) != "[[a] [b]]" {
		t.Errorf("%v, %v; want what was whole and the error", got, err)
	}
}

func TestLongRecords(t *testing.T) {
	long := strings.Repeat("x", 3*firstBuffer)
	got, err := readAll(strings.NewReader("a\n" + long + ",\"" + long + "\"\nb\n"))
	if err != nil || len(got) != 3 || got[1][0] != long || got[1][1] != long {
		t.Fatalf("%d records, %v", len(got), err)
	}
	_, err = readAll(strings.NewReader("a\n" + strings.Repeat("x", MaxRecord+1)))
	var bad *SyntaxError
	if !errors.As(err, &bad) || bad.Line != 2 {
		t.Errorf("%v, want a record that is too long", err)
	}
}

// FuzzReader compares with encoding/csv where that reads the input, and wants
// the same whatever the pieces are in which the input arrives.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"a,b\nc", "\"a\"\"b\",c\r\n", "\"a\nb\",\n", "\r\r\n", "\"\"\n,", "a\"b", "\"a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readAll(bytes.NewReader(bytes.Clone(in)))
		again, err2 := readAll(iotest.OneByteReader(bytes.NewReader(in)))
		if fmt.Sprint(got, err) != fmt.Sprint(again, err2) {
			t.Fatalf("whole: %q, %v\nbytewise: %q, %v", got, err, again, err2)
		}
		std := csv.NewReader(bytes.NewReader(in))
		std.FieldsPerRecord = -1
		want, stdErr := std.ReadAll()
		// encoding/csv turns \r\n within quotes into \n, and drops a lone \r at the end.
		if stdErr != nil || bytes.IndexByte(in, '\r') >= 0 {
			return
		}
		kept := want[:0]
		for _, rec := range want {
			if len(rec) > 1 || rec[0] != "" { // "" alone on a line is no record here
				kept = append(kept, rec)
			}
		}
		if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", kept) {
			t.Fatalf("got %q, %v\nwant %q", got, err, kept)
		}
	})
}

// TestFieldsAreBounded: a record of four megabytes of commas would take a hundred.
func TestFieldsAreBounded(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat(",", MaxRecord-1)))
	_, err := r.Next()
	if bad := new(SyntaxError); !errors.As(err, &bad) || bad.Line != 1 || cap(r.fields) > 2*maxFields {
		t.Errorf("%v; room for %d fields", err, cap(r.fields))
	}
	if fields, err := NewReader(strings.NewReader(strings.Repeat("\"\",", maxFields-1))).Next(); err != nil || len(fields) != maxFields {
		t.Errorf("%d fields, %v", len(fields), err)
	}
}

// TestEmptyLines: lines of nothing are passed over in one go, and counted.
func TestEmptyLines(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		const n = 300_000
		in := strings.Repeat(end, n) + "a,b" + end + end + "\rc" + end
		r := NewReader(readerFunc(func(p []byte) (int, error) {
			k := copy(p[:min(len(p), 1<<16)], in)
			in = in[k:]
			if k == 0 {
				return 0, io.EOF
			}
			return k, nil
		}))
		for i, want := range []string{"[a b]", "[\rc]"} {
			fields, err := r.Next()
			if got := fmt.Sprintf("%s", fields); err != nil || got != want || r.Line() != n+1+2*i {
				t.Errorf("%q: %q at line %d, %v", end, got, r.Line(), err)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Error(err)
		}
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
