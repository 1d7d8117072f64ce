package s3store_test

import (
	"bytes"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealMinIOThroughHere: an object is read by stretches and written by parts that
// this process sends, under another encryption and on the condition of its ETag.
func TestRealMinIOThroughHere(t *testing.T) {
	srv := realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
	s := openAt(t, srv, s3store.Options{UserAgent: "reseal/test"})
	b := bucket(t, srv.Client(), "through", false)
	ref := object.Ref{Bucket: b, Key: "an object é+%2F"}
	const mib = 1 << 20
	data := bytes.Repeat([]byte("seventeen letters"), 6*mib/17)
	wrote, err := s.Put(t.Context(), &object.PutRequest{CopyRequest: object.CopyRequest{Dest: ref, Target: &object.Target{SSE: object.SSES3}}, Body: data})
	if err != nil {
		t.Fatal(err)
	}
	size, target := int64(len(data)), &object.Target{SSE: object.SSEKMS, KMSKeyID: "key-b"}
	attrs := &object.Attributes{Metadata: map[string]string{"who": "me"}}
	id, _, err := s.CreateUpload(t.Context(), &object.CopyRequest{Dest: ref, Target: target, Attributes: attrs})
	if err != nil {
		t.Fatal(err)
	}
	var parts []object.Part
	for n, first := 1, int64(0); first < size; n, first = n+1, first+5*mib {
		buf := make([]byte, min(5*mib, size-first))
		read := object.RangeRequest{Ref: ref, ETag: wrote.ETag, Size: size, First: first, Into: buf}
		if err := s.ReadRange(t.Context(), &read); err != nil {
			t.Fatal(err)
		}
		read.ETag = "00000000000000000000000000000000"
		if err := s.ReadRange(t.Context(), &read); object.ClassOf(err) != object.ClassChanged {
			t.Errorf("another object is read: %v", err)
		}
		rep, err := s.SendPart(t.Context(), &object.SendRequest{Dest: ref, UploadID: id, Number: n, Target: target, Body: buf})
		if err != nil {
			t.Fatal(err)
		}
		clear(buf) // it is ours again
		parts = append(parts, object.Part{Number: n, ETag: rep.ETag, Size: int64(len(buf))})
	}
	end := &object.CompleteRequest{Dest: ref, UploadID: id, Parts: parts, Size: size, Target: target, DestETag: "00000000000000000000000000000000"}
	if _, err := s.CompleteUpload(t.Context(), end); object.ClassOf(err) != object.ClassChanged {
		t.Errorf("completed over another object: %v", err)
	}
	end.DestETag = wrote.ETag
	if _, err := s.CompleteUpload(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	h, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil || h.Encryption.Type != object.SSEKMS || h.Metadata["who"] != "me" || body(t, s, ref, object.CustomerKey{}) != string(data) {
		t.Errorf("%+v, %v", h, err)
	}
}
