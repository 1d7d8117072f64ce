package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// announceProbe says what a probe will write, before it does.
func (a *app) announceProbe(sentences []string) {
	fmt.Fprintln(a.stderr, "reseal doctor --probe writes now:")
	for _, s := range sentences {
		fmt.Fprintln(a.stderr, "  "+object.Printable(s))
	}
}

// probed is what `doctor --probe --json` adds.
type probed struct {
	Prefix        string       `json:"prefix"`
	Sent          bool         `json:"sent"`
	Writes        []string     `json:"writes"`
	Seen          capabilities `json:"seen"`
	BelievedOfAWS capabilities `json:"believed_of_aws"`
	Differences   []difference `json:"differences"`
}

// difference is one ability that is not as it is believed of AWS; Less says that a job
// could miss it.
type difference struct {
	Ability  string `json:"ability"`
	Believed string `json:"believed"`
	Seen     string `json:"seen"`
	Less     bool   `json:"less"`
}

func probedOf(prefix string, p *job.Probed) *probed {
	if p == nil {
		return nil
	}
	out := &probed{Prefix: prefix, Sent: p.Sent, Writes: p.Writes, Seen: capabilitiesOf(&p.Seen), BelievedOfAWS: capabilitiesOf(&p.Believed),
		Differences: []difference{}}
	if out.Writes == nil {
		out.Writes = []string{}
	}
	less := map[string]bool{}
	for _, d := range p.Missing() {
		less[d.Ability] = true
	}
	for _, d := range p.Differences {
		out.Differences = append(out.Differences, difference{nameForScripts(d.Ability), d.Believed, d.Seen, less[d.Ability]})
	}
	return out
}

// nameForScripts is what doctor calls an ability of object.Capabilities.
func nameForScripts(ability string) string {
	f, ok := reflect.TypeFor[capabilities]().FieldByName(ability)
	if !ok {
		return ability
	}
	return f.Tag.Get("json")
}

// unsent is why what was asked for did not happen.
func (p *probed) unsent() error {
	if p == nil || p.Sent {
		return nil
	}
	return fmt.Errorf("the probe was not sent, since the KMS key cannot be used; what doctor found tells why")
}

// printMatrix prints what the store does, beside what is believed of AWS where that
// was probed.
func (a *app) printMatrix(d *diagnosis) error {
	c, t := &d.Capabilities, table(a.stdout)
	if c.Source == "" {
		_, err := fmt.Fprintln(a.stdout, "\nWhat the store does was not found out; a serious finding tells why.")
		return err
	}
	if p := d.Probe; p == nil || !p.Sent {
		fmt.Fprintf(a.stdout, "\nWhat the store does (%s)\n", c.Source)
		for _, row := range matrix(c) {
			fmt.Fprintf(t, "  %s\t%s\n", row.question, row.answer)
		}
	} else {
		c = &p.Seen
		believed := matrix(&p.BelievedOfAWS)
		fmt.Fprintf(a.stdout, "\nWhat the store was seen to do below %s, and what is believed of AWS\n", object.Printable(p.Prefix))
		for i, row := range matrix(c) {
			mark := ""
			if row.differs(believed[i]) {
				mark = "differs"
			}
			fmt.Fprintln(t, strings.TrimRight(fmt.Sprintf("  %s\t%s\t%s\t%s", row.question, row.answer, believed[i].answer, mark), "\t"))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range c.Notes {
		fmt.Fprintln(a.stdout, "  "+object.Printable(n))
	}
	a.printDifferences(d.Probe)
	return nil
}

func (a *app) printDifferences(p *probed) {
	switch {
	case p == nil || !p.Sent:
	case len(p.Differences) == 0:
		fmt.Fprintln(a.stdout, "\nNothing that was asked is otherwise than it is believed of AWS.")
	default:
		fmt.Fprintln(a.stdout, "\nOtherwise than it is believed of AWS")
		for _, d := range p.Differences {
			fmt.Fprintf(a.stdout, "  %s: believed %s, seen %s\n", d.Ability, object.Printable(d.Believed), object.Printable(d.Seen))
		}
	}
}

// answer is one row of the capability table.
type answer struct {
	question string
	answer   fmt.Stringer
}

// differs says whether something else was seen than is believed. What was not asked
// is no difference.
func (a answer) differs(believed answer) bool {
	switch a.answer {
	case object.Unknown, object.EncodingUnknown:
		return false
	}
	return a.answer != believed.answer
}

// matrix is the capability table in the order of the questions.
func matrix(c *capabilities) []answer {
	return []answer{
		{"encrypts", c.Encrypts}, {"re-encrypts a plain object by", c.Route}, {"re-encrypts an encrypted object by", c.EncryptedRoute},
		{"re-encrypts an object under another KMS key by a copy", c.OtherKey}, {"CopyObject's source is percent-encoded", c.CopySourceEncoding},
		{"UploadPartCopy's source is percent-encoded", c.PartSourceEncoding},
		{"UpdateObjectEncryption", c.Update}, {"CopyObject honours the source's ETag", c.CopySourceIfMatch},
		{"UploadPartCopy honours the source's ETag", c.PartSourceIfMatch}, {"CopyObject honours If-Match", c.CopyIfMatch},
		{"CompleteMultipartUpload honours If-Match", c.CompleteIfMatch}, {"PutObject honours If-Match", c.PutIfMatch},
		{"an upload of sent parts honours If-Match", c.SendIfMatch}, {"copy replies show the encryption", c.CopyShowsEncryption},
		{"listings show the encryption", c.ListMetadata}, {"copies keep tags", c.KeepsTags}, {"copies keep locks", c.KeepsLock},
		{"copies keep redirects", c.KeepsRedirect}, {"copies keep Expires", c.KeepsExpires}, {"copies keep the storage class", c.KeepsClass},
		{"copies keep checksums", c.KeepsChecksums},
		{"DSSE-KMS", c.DSSE}, {"bucket keys", c.BucketKey}, {"checksums", c.Checksums}, {"checksums of copied parts", c.UploadChecksums},
		{"checksums of sent parts", c.SendChecksums},
	}
}
