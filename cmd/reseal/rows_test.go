package main

import (
	"bytes"
	"encoding/csv"
	"os"
	"strings"
	"testing"
)

// csvTable is a table that reseal wrote: a line of it by the names of the columns.
type csvTable []map[string]string

// tableOf reads a table whose first line names the columns.
func tableOf(t testing.TB, text string) (rows csvTable) {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(records) == 0 {
		t.Fatalf("it is no table: %v: %.300q", err, text)
	}
	for _, r := range records[1:] {
		row := map[string]string{}
		for i, name := range records[0] {
			row[name] = r[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func tableIn(t testing.TB, path string) csvTable {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return tableOf(t, string(text))
}

// by gives the rows a name each. Two rows of one name are an error.
func (rows csvTable) by(t testing.TB, name func(row map[string]string) string) map[string]map[string]string {
	t.Helper()
	named := make(map[string]map[string]string, len(rows))
	for _, row := range rows {
		id := name(row)
		if named[id] != nil {
			t.Errorf("two rows for %q", id)
		}
		named[id] = row
	}
	return named
}

func byKey(row map[string]string) string { return row["key"] }

func byVersion(row map[string]string) string { return row["key"] + "?" + row["version_id"] }

// reportOf is the report of a job in a folder. This process makes it: no store is asked,
// and nobody dies.
func reportOf(t testing.TB, job string) csvTable {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := Main([]string{"report", "--job", job}, strings.NewReader(""), &stdout, &stderr); code != 0 {
		t.Fatalf("report: exit code %d\n%s", code, stderr.String())
	}
	header, _, _ := strings.Cut(stdout.String(), "\n")
	if header != reportColumns {
		t.Fatalf("the report's header is %s, want %s", header, reportColumns)
	}
	return tableOf(t, stdout.String())
}
