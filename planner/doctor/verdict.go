package doctor

import (
	"github.com/dustin/go-humanize/english"

	"github.com/resealhq/reseal/engine/object"
)

// Verdict is what all findings come to.
type Verdict string

// The verdicts. With losses means that a finding has a consequence that outlives the
// run; not ready, that one spoils the run or something that others rely on.
const (
	Ready    Verdict = "ready"
	Losses   Verdict = "ready with losses"
	NotReady Verdict = "not ready"
)

// Judge is the verdict on what was found, and the sentence that gives its ground.
func Judge(f *Facts, found []Finding) (v Verdict, why string) {
	n := [Serious + 1]int{}
	for _, x := range found {
		n[x.Level]++
	}
	switch {
	case n[Serious] > 0:
		return NotReady, english.Plural(n[Serious], "serious finding", "") + " below; each says what to do"
	case n[Warning] > 0:
		return Losses, english.Plural(n[Warning], "finding", "") + " below with a consequence that outlives the run" + f.untried()
	}
	return Ready, "nothing stands in the way, and nothing around the run will be disturbed" + f.untried()
}

// untried tells what was not tried: of AWS, whatever writes.
func (f *Facts) untried() string {
	if f.Caps.Source == "aws" && !f.Probed {
		return "; whether objects may be written was not tried, --probe PREFIX does"
	}
	return ""
}

// accepted says whether the loss was accepted by name.
func (f *Facts) accepted(loss object.Reason) bool {
	for _, a := range f.Accept {
		if a == loss {
			return true
		}
	}
	return false
}

// lossOf are the losses that a job turns down, or leaves objects for, where the
// permission is missing and the loss is not accepted.
var lossOf = map[string]object.Reason{
	"s3:GetObjectTagging": object.ReasonTags, "s3:GetObjectAcl": object.ReasonACL, "s3:GetObjectRetention": object.ReasonLock,
	"s3:GetObjectLegalHold": object.ReasonLock, "s3:GetObjectAttributes": object.ReasonComposite,
	"s3:ListObjectAnnotations": object.ReasonAnnotations, "s3:GetObjectAnnotation": object.ReasonAnnotations,
}
