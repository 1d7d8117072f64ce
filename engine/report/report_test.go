package report

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

type row struct {
	t *object.Task
	o *object.Outcome
}

func rowsOf(rs ...row) Rows {
	return func(f func(*object.Task, *object.Outcome) error) error {
		for _, r := range rs {
			if err := f(r.t, r.o); err != nil {
				return err
			}
		}
		return nil
	}
}

const oldKey, newKey = "arn:aws:kms:eu-central-1:111122223333:key/old", "arn:aws:kms:eu-central-1:111122223333:key/new"

func sampleRows() []row {
	plan := func(key string) *object.Task {
		return &object.Task{Object: object.Object{Ref: object.Ref{Bucket: "b", Key: key}, Size: 5, ETag: "planned", Encryption: object.Encryption{Type: object.SSES3}}}
	}
	at := time.Date(2026, 11, 23, 20, 1, 2, 3e6, time.FixedZone("", 3600))
	return []row{
		{plan(`a "quoted", key` + "\r\nwith lines"), &object.Outcome{State: object.Done, Operation: object.OpCopy, Size: 7, ETagBefore: "seen", ETagAfter: "new",
			Before: object.Encryption{Type: object.SSEKMS, KMSKeyID: oldKey}, After: object.Encryption{Type: object.SSEKMS, KMSKeyID: newKey},
			NewVersionID: "v2", Attempts: 2, RequestID: "R1", FinishedAt: at, ClientSideBefore: "v2 kms+context", ClientSideAfter: "v3 kms+context"}},
		{plan("already"), &object.Outcome{Seq: 1, State: object.Already, Before: object.Encryption{Type: object.SSEKMS, KMSKeyID: newKey}, FinishedAt: at, ClientSideBefore: object.NoEnvelope}},
		{plan("bad\xff\x00key"), &object.Outcome{Seq: 2, State: object.Failed, Operation: object.OpCopy, Reason: "denied", ErrorCode: "AccessDenied", HTTPStatus: 403, Message: "no <b>way</b>", Attempts: 1}},
		{plan("left"), &object.Outcome{Seq: 3, State: object.Left, Reason: object.ReasonArchived, Size: -1}},
		{&object.Task{Operation: object.OpUpdate, Object: object.Object{Ref: object.Ref{Bucket: "b", Key: "remaining", VersionID: "null"}, Size: -1}}, nil},
	}
}

func TestCSV(t *testing.T) {
	var b bytes.Buffer
	if err := WriteCSV(&b, rowsOf(sampleRows()...)); err != nil {
		t.Fatal(err)
	}
	want := `bucket,key,version_id,state,operation,reason,error_code,http_status,message,size,etag_before,etag_after,sse_before,kms_key_before,sse_after,kms_key_after,new_version_id,attempts,request_id,finished_at,client_side_before,client_side_after
b,"a ""quoted"", key` + "\r\n" + `with lines",,done,copy,,,,,7,seen,new,sse-kms,` + oldKey + `,sse-kms,` + newKey + `,v2,2,R1,2026-11-23T19:01:02.003Z,v2 kms+context,v3 kms+context
b,already,,already,,,,,,5,planned,,sse-kms,` + newKey + `,sse-kms,` + newKey + `,,0,,2026-11-23T19:01:02.003Z,none,none
b,` + "bad\xff\x00key" + `,,failed,copy,denied,AccessDenied,403,no <b>way</b>,5,planned,,sse-s3,,,,,1,,,,
b,left,,left,,archived,,,,5,planned,,sse-s3,,,,,0,,,,
b,remaining,null,remaining,update,,,,,,,,unknown,,,,,0,,,,
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(records) != 6 || len(records[0]) != 22 {
		t.Errorf("a reader of CSV sees %d records, %v", len(records), err)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, rowsOf(sampleRows()...)); err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	if len(got) != 5 || got[0]["key"] != "a \"quoted\", key\r\nwith lines" || got[4]["size"] != nil || got[3]["reason"] != "archived" {
		t.Errorf("%v", got)
	}
	if key, _ := base64.StdEncoding.DecodeString(got[2]["key_base64"].(string)); string(key) != "bad\xff\x00key" {
		t.Errorf("a key that is not UTF-8 reads back as %q", key)
	}
	for _, c := range columns {
		if _, ok := got[2][c]; !ok {
			t.Errorf("a failed row has no %s", c)
		}
	}
	b.Reset()
	if err := WriteJSON(&b, rowsOf()); err != nil || json.Unmarshal(b.Bytes(), &got) != nil || len(got) != 0 {
		t.Errorf("no rows give %q, %v", b.String(), err)
	}
}

func TestOnly(t *testing.T) {
	n := 0
	err := rowsOf(sampleRows()...).Where(Filter{States: []object.State{object.Failed, object.Remaining}})(func(*object.Task, *object.Outcome) error { n++; return nil })
	if n != 2 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
}

type brokenWriter struct{ after int }

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.after -= len(b); w.after < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestAWriterThatFailsEndsTheReport(t *testing.T) {
	many := make([]row, 5000)
	for i := range many {
		many[i] = sampleRows()[0]
	}
	for name, write := range map[string]func(io.Writer, Rows) error{"csv": WriteCSV, "json": WriteJSON,
		"html": func(w io.Writer, r Rows) error { return WriteHTML(w, samplePage(), r) }} {
		if err := write(&brokenWriter{1000}, rowsOf(many...)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", name, err)
		}
		bad := errors.New("damaged")
		if err := write(io.Discard, func(func(*object.Task, *object.Outcome) error) error { return bad }); !errors.Is(err, bad) {
			t.Errorf("%s of rows that fail: %v", name, err)
		}
	}
}

func sampleTotals() *object.Totals {
	t := &object.Totals{Planned: object.Tally{Objects: 5, Bytes: 25}, PlanComplete: true, Elapsed: 1500 * time.Millisecond,
		OldVersions: object.Tally{Objects: 1, Bytes: 7}}
	t.States = [object.NumStates]object.Tally{{Objects: 1}, {Objects: 1, Bytes: 7}, {Objects: 1}, {Objects: 1}, {Objects: 1, Bytes: 5}}
	t.Operations[object.OpCopy] = object.Tally{Objects: 1, Bytes: 7}
	t.Requests[object.ReqCopy] = 3
	t.Causes = []object.Cause{
		{State: object.Failed, Reason: "denied", ErrorCode: "AccessDenied", Tally: object.Tally{Objects: 1}, Example: 2},
		{State: object.Left, Reason: object.ReasonArchived, Tally: object.Tally{Objects: 1}, Example: 3}}
	return t
}

func lookup(seq uint64) (object.Task, *object.Outcome, error) {
	r := sampleRows()[seq]
	return *r.t, r.o, nil
}

func samplePage() *Page {
	return &Page{Title: "Re-encryption of s3://b", Made: time.Unix(1e9, 0), Facts: []Fact{{"Source", "s3://b"}}, Summary: Summarize("job", sampleTotals(), lookup)}
}

func TestSummaryKeepsItsContract(t *testing.T) {
	b, err := json.Marshal(Summarize("job", sampleTotals(), lookup))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"job": "job", "resumed": false, "planned": 5.0, "done": 1.0, "already": 1.0, "left": 1.0, "failed": 1.0, "remaining": 1.0,
		"bytes": 7.0, "operations": map[string]any{"update": 0.0, "copy": 1.0, "multipart": 0.0, "rewrite": 0.0, "rewrap": 0.0},
		"requests": map[string]any{"list": 0.0, "head": 0.0, "copy": 3.0}, "seconds": 1.5, "complete": false}
	for k, v := range want {
		if !reflect.DeepEqual(got[k], v) {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	causes := got["causes"].([]any)
	first := causes[0].(map[string]any)
	if len(causes) != 2 || first["example"] != "s3://b/bad\ufffd\x00key" || first["message"] != "no <b>way</b>" || first["hint"] == "" {
		t.Errorf("causes %v", causes)
	}
}

func TestSummaryText(t *testing.T) {
	var b strings.Builder
	if err := Summarize("job", sampleTotals(), lookup).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `done       1  7 B  by copy 1
already    1  0 B  was as wanted
left       1  0 B  not touched
failed     1  5 B  tried, not changed
remaining  1  0 B  not taken yet
1 old version (7 B) left under the old encryption: a copy on a versioned bucket does not replace the version before
failed: denied (AccessDenied), 1 object, such as "s3://b/bad\xff\x00key"
    no <b>way</b>
    what to do: a permission is missing: compare with reseal iam-policy, and look for a deny in the bucket or key policy; then --retry-failed
left: archived, 1 object, such as "s3://b/left"
    what to do: restore them (s3 restore-object), then run again with --retry-failed or a new job
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestEveryReasonHasAHint: whatever reason an object is left for or fails with,
// the report says what to do.
func TestEveryReasonHasAHint(t *testing.T) {
	for c := range object.Class(object.NumClasses) {
		if Hint(object.Failed, object.Reason(c.String())) == "" {
			t.Errorf("no hint for failures of class %s", c)
		}
	}
	for name, r := range reasons(t) {
		state := object.Left
		switch r {
		case object.ReasonReply:
			state = object.Done
		case object.ReasonInDoubt:
			state = object.Already
		}
		if Hint(state, r) == "" && r != object.ReasonUnknown {
			t.Errorf("no hint for objects left because of %s (%s)", r, name)
		}
	}
	if Hint(object.Left, "denied") == "" {
		t.Error("no hint for objects that a plan left because of an error")
	}
}

// reasons are all Reason constants of object, read from its source so that a new
// one cannot be forgotten here.
func reasons(t *testing.T) map[string]object.Reason {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../object/task.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]object.Reason{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found[v.Names[0].Name] = object.Reason(s)
		}
		return true
	})
	if len(found) < 16 {
		t.Fatalf("only %d reasons found", len(found))
	}
	return found
}

func TestHTML(t *testing.T) {
	var b strings.Builder
	if err := WriteHTML(&b, samplePage(), rowsOf(sampleRows()...)); err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(b.String(), "<wbr>", "") // where a word may be broken
	for _, want := range []string{"Re-encryption of s3://b", "1 of 5 objects to go", "no &lt;b&gt;way&lt;/b&gt;", newKey, "All 3 of them", "restore them"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, bad := range []string{"<b>way", "http://", "https://", "<script", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	p := samplePage()
	p.MaxRows = 2
	b.Reset()
	if err := WriteHTML(&b, p, rowsOf(sampleRows()...)); err != nil || !strings.Contains(b.String(), "The first 2 of 3") {
		t.Errorf("a page with a cap: %v", err)
	}
}

// TestMemoryIsFlat: a report of 300,000 rows, every tenth not done and every one
// with its own key, keeps no more than one of 3,000.
func TestMemoryIsFlat(t *testing.T) {
	rows := func(n int) Rows {
		return func(f func(*object.Task, *object.Outcome) error) error {
			r := sampleRows()
			for i := range n {
				which := 0
				if i%10 == 0 {
					which = 2
				}
				if err := f(r[which].t, r[which].o); err != nil {
					return err
				}
			}
			return nil
		}
	}
	held := func(n int) uint64 {
		var before, after runtime.MemStats
		page := samplePage()
		var peak uint64
		walk := rows(n)
		runtime.GC()
		runtime.ReadMemStats(&before)
		err := WriteHTML(io.Discard, page, func(f func(*object.Task, *object.Outcome) error) error {
			i := 0
			return walk(func(t *object.Task, o *object.Outcome) error {
				if i++; i == n {
					runtime.GC()
					runtime.ReadMemStats(&after)
					peak = after.HeapAlloc
				}
				return f(t, o)
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return peak - min(peak, before.HeapAlloc)
	}
	if small, large := held(30_000), held(300_000); large > small+small/2+256<<10 {
		t.Errorf("300,000 rows hold %d bytes, 30,000 hold %d", large, small)
	}
}
