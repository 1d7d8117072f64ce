package report

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
)

// columns are those of the CSV report, in order; the names are also the
// keys of the JSON rows.
var columns = [...]string{"bucket", "key", "version_id", "state", "operation", "reason", "error_code", "http_status", "message",
	"size", "etag_before", "etag_after", "sse_before", "kms_key_before", "sse_after", "kms_key_after", "new_version_id",
	"attempts", "request_id", "finished_at", "client_side_before", "client_side_after"}

// Row is one object of the report. Where the worker saw something newer than
// the plan, it is the worker's.
type Row struct {
	Bucket       string        `json:"bucket" parquet:"bucket"`
	Key          string        `json:"key" parquet:"key"`
	KeyBase64    string        `json:"key_base64,omitempty" parquet:"key_base64"` // only where the key is not UTF-8, which JSON cannot carry
	VersionID    string        `json:"version_id" parquet:"version_id"`
	State        string        `json:"state" parquet:"state"`
	Operation    string        `json:"operation" parquet:"operation"`
	Reason       object.Reason `json:"reason" parquet:"reason"`
	ErrorCode    string        `json:"error_code" parquet:"error_code"`
	HTTPStatus   int           `json:"http_status,omitempty" parquet:"http_status"`
	Message      string        `json:"message" parquet:"message"`
	Size         *int64        `json:"size" parquet:"size,optional"` // null where nobody knows it
	ETagBefore   string        `json:"etag_before" parquet:"etag_before"`
	ETagAfter    string        `json:"etag_after" parquet:"etag_after"`
	SSEBefore    string        `json:"sse_before" parquet:"sse_before"`
	KMSKeyBefore string        `json:"kms_key_before" parquet:"kms_key_before"`
	SSEAfter     string        `json:"sse_after" parquet:"sse_after"` // empty where the object was not changed
	KMSKeyAfter  string        `json:"kms_key_after" parquet:"kms_key_after"`
	NewVersionID string        `json:"new_version_id" parquet:"new_version_id"`
	Attempts     int           `json:"attempts" parquet:"attempts"`
	RequestID    string        `json:"request_id" parquet:"request_id"`
	FinishedAt   string        `json:"finished_at" parquet:"finished_at"`
	// ClientSideBefore and ClientSideAfter are the envelopes of client-side encryption;
	// empty where nobody has looked.
	ClientSideBefore object.ClientSide `json:"client_side_before" parquet:"client_side_before"`
	ClientSideAfter  object.ClientSide `json:"client_side_after" parquet:"client_side_after"`
}

// RowOf makes the row of a task; o is nil where it remains.
func RowOf(t *object.Task, o *object.Outcome) Row {
	r := Row{Bucket: t.Object.Bucket, Key: t.Object.Key, VersionID: t.Object.VersionID,
		State: object.Remaining.String(), Operation: plannedOperation(t), Reason: t.Reason, Size: known(t.Object.Size),
		ETagBefore: t.Object.ETag, SSEBefore: t.Object.Encryption.Type.String(), KMSKeyBefore: t.Object.Encryption.KMSKeyID,
		ClientSideBefore: t.Object.ClientSide}
	if !utf8.ValidString(r.Key) {
		r.KeyBase64 = base64.StdEncoding.EncodeToString([]byte(r.Key))
	}
	if o != nil {
		r.settle(t, o)
	}
	return r
}

func (r *Row) settle(t *object.Task, o *object.Outcome) {
	r.State, r.Operation, r.Reason = o.State.String(), operation(o.Operation), o.Reason
	r.ErrorCode, r.HTTPStatus, r.Message = o.ErrorCode, o.HTTPStatus, o.Message
	r.Attempts, r.RequestID, r.NewVersionID = o.Attempts, o.RequestID, o.NewVersionID
	r.ETagAfter = o.ETagAfter
	if o.ETagBefore != "" {
		r.ETagBefore = o.ETagBefore
		r.Size = known(o.Size)
	}
	if o.Before.Type != object.SSEUnknown {
		r.SSEBefore, r.KMSKeyBefore = o.Before.Type.String(), o.Before.KMSKeyID
	}
	switch {
	case o.After.Type != object.SSEUnknown:
		r.SSEAfter, r.KMSKeyAfter = o.After.Type.String(), o.After.KMSKeyID
	case o.State == object.Already: // it is now as it was
		r.SSEAfter, r.KMSKeyAfter = r.SSEBefore, r.KMSKeyBefore
	}
	if o.ClientSideBefore != "" {
		r.ClientSideBefore = o.ClientSideBefore
	}
	if r.ClientSideAfter = o.ClientSideAfter; o.State == object.Already && r.ClientSideAfter == "" {
		r.ClientSideAfter = r.ClientSideBefore
	}
	if !o.FinishedAt.IsZero() {
		r.FinishedAt = o.FinishedAt.UTC().Format(time.RFC3339Nano)
	}
}

func plannedOperation(t *object.Task) string { return operation(t.Operation) }

// operation is the report's word; what is undecided or needs none is empty.
func operation(op object.Operation) string {
	if op.Changes() {
		return op.String()
	}
	return ""
}

func known(size int64) *int64 {
	if size < 0 {
		return nil
	}
	return &size
}

// Columns are the names of the CSV report's columns, in order.
func Columns() []string { return columns[:] }

// Fields are the row in the order of Columns, in the memory of f where that
// suffices.
func (r *Row) Fields(f []string) []string {
	size, status := "", ""
	if r.Size != nil {
		size = strconv.FormatInt(*r.Size, 10)
	}
	if r.HTTPStatus != 0 {
		status = strconv.Itoa(r.HTTPStatus)
	}
	return append(f[:0], r.Bucket, r.Key, r.VersionID, r.State, r.Operation, string(r.Reason), r.ErrorCode, status, r.Message,
		size, r.ETagBefore, r.ETagAfter, r.SSEBefore, r.KMSKeyBefore, r.SSEAfter, r.KMSKeyAfter, r.NewVersionID,
		strconv.Itoa(r.Attempts), r.RequestID, r.FinishedAt, string(r.ClientSideBefore), string(r.ClientSideAfter))
}
