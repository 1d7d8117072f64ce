package planner

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteText writes the audit for a person. Keys are long: each stands on a line
// of its own where it would not fit.
func (a *Audit) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%16s %10s %7s  %s\n", "objects", "size", "share", "encryption")
	for _, r := range a.ByEncryption {
		share := 0.0
		if a.Objects > 0 {
			share = float64(r.Objects) / float64(a.Objects) * 100
		}
		what := fmt.Sprintf("%-8s %s", r.Encryption, r.StorageClass)
		if r.BucketKey {
			what += ", bucket key"
		}
		if r.ClientSide {
			what += ", client-side too"
		}
		fmt.Fprintf(&b, "%16s %10s %6.2f%%  %s\n", comma(r.Objects), size(r.Bytes), share, what)
		if r.KMSKeyID != "" {
			fmt.Fprintf(&b, "%16s %10s %7s  %s\n", "", "", "", r.KMSKeyID)
		}
	}
	fmt.Fprintf(&b, "%16s %10s\n", comma(a.Objects), size(a.Bytes))
	if a.Sampled > 0 {
		fmt.Fprintf(&b, "\nProjected from %s drawn at random; each share is right within %.2f points\n(95 %% confidence).\n", count(a.Sampled, "object"), a.Margin*100)
	}
	if a.Unanswered > 0 {
		fmt.Fprintf(&b, "\n%s could not be inspected, and counted as unknown.\n", count(a.Unanswered, "object"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteCSV writes one row for each of ByEncryption, header row first, with the
// names of the JSON.
func (a *Audit) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"encryption", "kms_key_id", "bucket_key", "client_side", "storage_class", "objects", "bytes"}) // Error tells
	for _, r := range a.ByEncryption {
		_ = out.Write([]string{r.Encryption.String(), r.KMSKeyID, strconv.FormatBool(r.BucketKey), strconv.FormatBool(r.ClientSide), r.StorageClass,
			strconv.FormatUint(r.Objects, 10), strconv.FormatInt(r.Bytes, 10)})
	}
	out.Flush()
	return out.Error()
}
