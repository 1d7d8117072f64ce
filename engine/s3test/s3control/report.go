package s3control

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// reportFile is an entry of a report's manifest.
type reportFile struct {
	TaskExecutionStatus string
	Bucket              string
	MD5Checksum         string
	Key                 string
}

// writeReport writes the completion report: files of rows by status, then the manifest
// that names them.
func (s *Server) writeReport(j *job) {
	r := &j.req.Report
	if !r.Enabled {
		return
	}
	s.mu.Lock()
	results := j.results
	s.mu.Unlock()
	bucket := strings.TrimPrefix(r.Bucket, "arn:aws:s3:::")
	folder := "job-" + j.id
	if r.Prefix != "" {
		folder = r.Prefix + "/" + folder
	}
	var succeeded, failed []result
	for _, one := range results {
		if one.fault == nil {
			succeeded = append(succeeded, one)
		} else {
			failed = append(failed, one)
		}
	}
	if r.Scope == "FailedTasksOnly" {
		succeeded = nil
	}
	files := []reportFile{}
	for _, part := range []struct {
		word string
		rows []result
	}{{"succeeded", succeeded}, {"failed", failed}} {
		for rows := part.rows; len(rows) > 0; {
			n := min(len(rows), s.cfg.RowsPerFile)
			data := s.table(rows[:n])
			rows = rows[n:]
			name := sha1.Sum([]byte(part.word + strconv.Itoa(len(files))))
			sum := md5.Sum(data)
			f := reportFile{part.word, bucket, hex.EncodeToString(sum[:]), folder + "/results/" + hex.EncodeToString(name[:]) + ".csv"}
			s.put(bucket, f.Key, data)
			files = append(files, f)
		}
	}
	data, err := json.Marshal(map[string]any{"Format": reportFormat, "ReportCreationDate": time.Now().UTC().Format("2006-01-02T15:04:05.999Z"),
		"Results": files, "ReportSchema": "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"})
	if err != nil {
		panic(err) // strings: cannot happen
	}
	s.put(bucket, folder+"/manifest.json", data)
	sum := md5.Sum(data)
	s.put(bucket, folder+"/manifest.json.md5", []byte(hex.EncodeToString(sum[:])))
}

// table is the rows of a file: whatever the schema declares, the number stands first.
func (s *Server) table(rows []result) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, r := range rows {
		status, number, code, message := "succeeded", 200, "", "Successful"
		if r.fault != nil {
			status, number, code, message = "failed", r.fault.Status, r.fault.Code, r.fault.Message
		}
		row := []string{r.bucket, s.named(&r.task), r.version, status, strconv.Itoa(number), code, message}
		if s.cfg.NumbersLast {
			row[4], row[5] = row[5], row[4]
		}
		_ = w.Write(row) // into memory
	}
	w.Flush()
	return b.Bytes()
}

func (s *Server) named(t *task) string {
	switch s.cfg.Keys {
	case Raw:
		return t.key
	case EncodedPlus:
		return strings.ReplaceAll(t.written, "%20", "+")
	}
	return t.written
}

// put writes a part of the report. Who may not write there has none.
func (s *Server) put(bucket, key string, data []byte) {
	_, _ = s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)})
}
