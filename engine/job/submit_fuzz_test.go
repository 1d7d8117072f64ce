package job

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3store"
)

// FuzzSubmitRecord: whatever stands in the record, what is believed of it is whole: each
// submission has its number, and nothing comes of one that has ended.
func FuzzSubmitRecord(f *testing.F) {
	const head = "reseal submit 1 00\n"
	sub := &Submission{N: 1, Objects: 3, Members: strings.Repeat("0a", 32), At: time.Unix(1, 0).UTC(), Job: s3store.BatchJob{Token: "t", RoleARN: "r", Bucket: "b", ETag: "e",
		Manifest: s3store.BatchObject{Bucket: "m", Key: "k"}, Report: s3store.BatchObject{Bucket: "m"}}}
	var whole bytes.Buffer
	whole.WriteString(head)
	for _, l := range []submitLine{{Kind: lineIntended, N: 1, Intended: sub}, {Kind: lineCreated, N: 1, ID: "some-id"}, {Kind: lineConfirmed, N: 1},
		{Kind: lineSeen, N: 1, Status: "Complete", Total: 3}, {Kind: lineRead, N: 1, Read: &SubmissionRead{Done: 3}}} {
		data, err := json.Marshal(&l)
		if err != nil {
			f.Fatal(err)
		}
		whole.Write(append(data, '\n'))
		f.Add(bytes.Clone(whole.Bytes()))
	}
	r := new(submitRecord)
	if _, err := r.read(bytes.NewReader(whole.Bytes()), head); err != nil || len(r.all) != 1 || r.all[0].Open() || r.all[0].Status != "Complete" {
		f.Fatalf("%v %+v", err, r.all)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := new(submitRecord)
		n, err := r.read(bytes.NewReader(data), head)
		if n > int64(len(data)) || err == nil && len(data) > 0 && n > 0 && !bytes.HasPrefix(data, []byte(head)) {
			t.Fatalf("%d of %d bytes", n, len(data))
		}
		for i, s := range r.all {
			if s.N != i+1 || s.Objects == 0 || s.ID != "" && !s3store.ValidBatchID(s.ID) || s.Read != nil && s.ID == "" || s.Withdrawn && s.ID != "" {
				t.Fatalf("%+v", s)
			}
		}
	})
}
