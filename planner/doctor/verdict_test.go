package doctor

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*Facts)
		want Verdict
		says string
	}{
		{"plain", func(*Facts) {}, Ready, "--probe PREFIX"},
		{"probed", func(f *Facts) { f.Probed = true }, Ready, "will be disturbed"},
		{"a note", func(f *Facts) { f.Settings.Website = object.Yes }, Ready, ""},
		{"a warning", func(f *Facts) { f.Settings.ObjectLock = object.Yes }, Losses, "1 finding "},
		{"serious", func(f *Facts) { f.Key.Enabled = false }, NotReady, "1 serious finding "},
		{"a key that nobody may look at", func(f *Facts) { f.Key.Problem = "denied" }, Losses, "1 finding "},
		{"a key that cannot be asked for", func(f *Facts) { f.Key.Problem, f.Caps = "denied", object.Capabilities{} }, NotReady, "1 serious"},
		{"a question refused", func(f *Facts) { f.Denied = []Denied{{Bucket: "b", What: "no", Actions: []string{"s3:PutObject"}}} }, NotReady, "1 serious"},
		{"a question not answered", func(f *Facts) { f.Denied = []Denied{{Bucket: "b", What: "no"}} }, NotReady, "1 serious"},
		{"a permission", func(f *Facts) { f.Permissions = []Permission{{"s3:GetObjectTagging", "arn:aws:s3:::b/k", object.No}} }, NotReady, ""},
		{"its loss accepted", func(f *Facts) {
			f.Permissions, f.Accept = []Permission{{"s3:GetObjectTagging", "arn:aws:s3:::b/k", object.No}}, []object.Reason{object.ReasonTags}
		}, Losses, ""},
		{"another loss accepted", func(f *Facts) {
			f.Permissions, f.Accept = []Permission{{"s3:GetObjectTagging", "arn:aws:s3:::b/k", object.No}}, []object.Reason{object.ReasonACL}
		}, NotReady, ""},
	} {
		f := plain()
		tc.set(f)
		if got, why := Judge(f, Examine(f)); got != tc.want || !strings.Contains(why, tc.says) {
			t.Errorf("%s: %s, %s", tc.name, got, why)
		}
	}
}

// TestPasted: the statements are ones that IAM takes, on what the job has and no more.
func TestPasted(t *testing.T) {
	f := plain()
	f.Prefix, f.Dest = "lo*gs/", &Dest{Bucket: "d", Prefix: "copies/"}
	for _, tc := range []struct {
		got, resource string
	}{
		{f.allow("b", "s3:GetObject"), "arn:aws:s3:::b/lo${*}gs/*"},
		{f.allow("b", "s3:ListBucket"), "arn:aws:s3:::b"},
		{f.allow("d", "s3:PutObject", "s3:ListMultipartUploadParts"), "arn:aws:s3:::d/copies/*"},
		{f.allow("d", "s3:GetBucketNotification", "s3:GetLifecycleConfiguration"), "arn:aws:s3:::d"},
		{f.allowKey("kms:DescribeKey"), keyARN},
	} {
		var s Statement
		if err := json.Unmarshal([]byte(tc.got), &s); err != nil || s.Effect != "Allow" || len(s.Resource) != 1 || s.Resource[0] != tc.resource {
			t.Errorf("%s (%v), want it on %s", tc.got, err, tc.resource)
		}
	}
	for word, want := range map[string]string{"b": "b", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(id)": "'$(id)'"} {
		if got := object.ShellWord(word); got != want {
			t.Errorf("%q is quoted as %s", word, got)
		}
	}
}
