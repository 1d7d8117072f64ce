package doctor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestS5APrefixMeansItself: in a policy *, ? and ${…} are patterns and variables.
func TestS5APrefixMeansItself(t *testing.T) {
	text, err := Policy(Needs{Bucket: "b", Prefix: "we*ird/wh?t/${aws:username}/", Manifest: "s3://inv/a*b/list.csv",
		DestBucket: "d", DestPrefix: "$*"}).JSON()
	if err != nil {
		t.Fatal(err)
	}
	const want = "we${*}ird/wh${?}t/${$}{aws:username}/*"
	for _, s := range []string{`"arn:aws:s3:::b/` + want + `"`, `"` + want + `"`, `"arn:aws:s3:::inv/a${*}b/*"`, `"arn:aws:s3:::d/${$}${*}*"`} {
		if !strings.Contains(string(text), s) {
			t.Errorf("no %s in\n%s", s, text)
		}
	}
	for _, s := range []string{"we*ird", "wh?t", "/${aws"} {
		if strings.Contains(string(text), s) {
			t.Errorf("%s stands in\n%s", s, text)
		}
	}
}

// TestW8ThePartition follows the key, then the region that was given, then the
// one of the environment or the profile; all ARNs of a policy are of one.
func TestW8ThePartition(t *testing.T) {
	for _, tc := range []struct{ key, region, configured, want string }{
		{"", "", "", "aws"},
		{"", "eu-west-1", "us-gov-west-1", "aws"},
		{"", "us-gov-west-1", "", "aws-us-gov"},
		{"", "", "us-gov-west-1", "aws-us-gov"},
		{"", "cn-north-1", "", "aws-cn"},
		{"", "us-iso-east-1", "", "aws-iso"},
		{"", "us-isob-east-1", "", "aws-iso-b"},
		{"", "eu-isoe-west-1", "", "aws-iso-e"},
		{"", "us-isof-south-1", "", "aws-iso-f"},
		{"", "eusc-de-east-1", "", "aws-eusc"},
		{"arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/x", "", "", "aws-us-gov"},
		{"arn:aws-eusc:kms:eusc-de-east-1:111122223333:key/x", "", "us-east-1", "aws-eusc"},
		{"alias/x", "", "us-iso-west-1", "aws-iso"},
	} {
		n := Needs{Bucket: "b", Target: object.Target{SSE: object.SSEKMS, KMSKeyID: tc.key}, Region: tc.region, Configured: tc.configured}
		text, err := Policy(n).JSON()
		if err != nil {
			t.Fatal(err)
		}
		arns := strings.Count(string(text), `"arn:`)
		if of := strings.Count(string(text), `"arn:`+tc.want+`:`); of != arns || arns == 0 {
			t.Errorf("%s: %d of %d ARNs are of %s:\n%s", fmt.Sprint(tc), of, arns, tc.want, text)
		}
	}
}

func TestAddState(t *testing.T) {
	d := Document{Statement: []Statement{{Sid: "ReadSource", Resource: []string{"arn:aws-cn:s3:::b/*"}}}}
	d.AddState("state", "jobs/a/")
	text, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"arn:aws-cn:s3:::state/jobs/a/*"`, `"arn:aws-cn:s3:::state"`, `"s3:prefix"`, `"jobs/a/*"`, `"s3:PutObject"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if strings.Contains(string(text), "Delete") {
		t.Errorf("it may delete: %s", text)
	}
}
