package doctor

import (
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestReuploadFindings: doctor says what readers must be able to do, and what a store
// that guards nothing means.
func TestReuploadFindings(t *testing.T) {
	for format, want := range map[string]string{"v3": "cannot read version 3", "v2": "does not commit", "none": "reads the text"} {
		f := &Facts{Bucket: "b", Reupload: format, Settings: object.BucketFacts{Versioning: object.VersioningEnabled},
			Caps: object.Capabilities{Encrypts: object.Yes, PutIfMatch: object.Yes, CompleteIfMatch: object.Yes}}
		text := ""
		for _, found := range Examine(f) {
			text += found.What + "\n"
		}
		if !strings.Contains(text, want) || !strings.Contains(text, "Old versions keep") || strings.Contains(text, "on a condition in both ways") {
			t.Errorf("%s:\n%s", format, text)
		}
		f.Caps.PutIfMatch = object.No
		text = ""
		for _, found := range Examine(f) {
			text += found.What + "\n"
		}
		if !strings.Contains(text, "on a condition in both ways") {
			t.Errorf("%s: nothing is said of the store:\n%s", format, text)
		}
	}
}

// TestReuploadPolicy: data keys are made under the new key and opened under the old one,
// and S3 may use any for what it encrypts itself.
func TestReuploadPolicy(t *testing.T) {
	const newKey, oldKey = "arn:aws:kms:eu-west-1:111122223333:key/new", "arn:aws:kms:eu-west-1:111122223333:key/old"
	for _, tc := range []struct {
		needs      ReuploadNeeds
		want, none string
	}{
		{ReuploadNeeds{Key: newKey, SourceKey: oldKey}, "MakeDataKeys " + newKey + " OpenDataKeys " + oldKey + " KeepServerSideEncryption", "kms:ReEncrypt"},
		{ReuploadNeeds{Key: newKey, RawSource: true}, "MakeDataKeys " + newKey + " KeepServerSideEncryption", "OpenDataKeys"},
		{ReuploadNeeds{}, "OpenDataKeys arn:aws:kms:eu-west-1:*:key/* KeepServerSideEncryption", "MakeDataKeys"},
	} {
		text, all := "", ""
		for _, s := range Policy(Needs{Bucket: "b", Region: "eu-west-1", Reupload: &tc.needs}).Statement {
			all += s.Sid + strings.Join(s.Action, " ")
			switch {
			case s.Sid == "KeepServerSideEncryption":
				text += s.Sid
			case strings.HasSuffix(s.Sid, "DataKeys"):
				text += s.Sid + " " + strings.Join(s.Resource, " ") + " "
			}
		}
		if text != tc.want || strings.Contains(all, tc.none) {
			t.Errorf("%+v: %s\n%s", tc.needs, text, all)
		}
	}
}
