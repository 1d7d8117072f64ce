package planner

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/resealhq/reseal/engine/object"
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
		what := fmt.Sprintf("%-8s %s", r.Encryption, object.Printable(r.StorageClass))
		if r.BucketKey {
			what += ", bucket key"
		}
		switch {
		case r.Content != "":
			what += fmt.Sprintf(", client-side %s (%s)", r.Envelope, object.Printable(r.Content))
		case r.ClientSide, r.Envelope == object.InstructionFile:
			what += ", client-side " + object.Printable(string(r.Envelope))
		}
		fmt.Fprintf(&b, "%16s %10s %6.2f%%  %s\n", comma(r.Objects), size(r.Bytes), share, what)
		if r.KMSKeyID != "" {
			fmt.Fprintf(&b, "%16s %10s %7s  %s\n", "", "", "", object.Printable(r.KMSKeyID))
		}
		if r.CustomerKeyMD5 != "" {
			fmt.Fprintf(&b, "%16s %10s %7s  the customer key whose MD5 is %s\n", "", "", "", object.Printable(r.CustomerKeyMD5))
		}
	}
	fmt.Fprintf(&b, "%16s %10s\n", comma(a.Objects), size(a.Bytes))
	for i := range a.Sources {
		if i == 0 {
			b.WriteByte('\n')
		}
		s := &a.Sources[i]
		fmt.Fprintf(&b, "%16s %10s %7s  %s%s\n", comma(s.Objects), size(s.Bytes), "", object.Printable(s.Source), s.kinds())
	}
	if a.Sampled > 0 {
		fmt.Fprintf(&b, "\nProjected from %s drawn at random; each share is right within %.2f points\n(95 %% confidence).\n", count(a.Sampled, "object"), a.Margin*100)
	}
	if a.Unanswered > 0 {
		fmt.Fprintf(&b, "\n%s could not be inspected, and counted as unknown.\n", count(a.Unanswered, "object"))
	}
	if a.Unread != "" {
		fmt.Fprintf(&b, "\nNot everything could be read, and there is more than was counted: %s\n", object.Printable(a.Unread))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// kinds are the encryptions in a source, in a few words.
func (s *AuditedSource) kinds() string {
	if s.Unread != "" {
		return ": not read to its end"
	}
	var words []string
	for _, r := range s.ByEncryption {
		if w := r.Encryption.String(); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return ": " + strings.Join(words, ", ")
}

// WriteCSV writes one row for each of ByEncryption, header row first, with the
// names of the JSON.
func (a *Audit) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"encryption", "kms_key_id", "bucket_key", "client_side", "client_side_envelope", "client_side_content", "storage_class", "objects", "bytes", "sse_c_key_md5"}) // Error tells
	for _, r := range a.ByEncryption {
		_ = out.Write([]string{r.Encryption.String(), r.KMSKeyID, strconv.FormatBool(r.BucketKey), strconv.FormatBool(r.ClientSide), string(r.Envelope), r.Content, r.StorageClass,
			strconv.FormatUint(r.Objects, 10), strconv.FormatInt(r.Bytes, 10), r.CustomerKeyMD5})
	}
	out.Flush()
	return out.Error()
}
