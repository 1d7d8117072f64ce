package s3store

import (
	"errors"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

func TestW9AccessPointsAsTheAWSCLITakesThem(t *testing.T) {
	const arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint"
	for location, want := range map[string][2]string{
		"s3://b":                         {"b", ""},
		"s3://b/":                        {"b", ""},
		"s3://b/a/b//c":                  {"b", "a/b//c"},
		"s3://" + arn + "/ap":            {arn + "/ap", ""},
		"s3://" + arn + "/ap/":           {arn + "/ap", ""},
		"s3://" + arn + "/ap/pre/fix\nx": {arn + "/ap", "pre/fix\nx"},
		"s3://" + arn + ":ap/prefix":     {arn + "/ap", "prefix"},
		"s3://" + arn + "/ap/object/k":   {arn + "/ap", "object/k"},
		"s3://arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/ap": {"arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/ap", ""},
		"s3://arn:aws:s3::123456789012:accesspoint/m.mrap/p":        {"arn:aws:s3::123456789012:accesspoint/m.mrap", "p"},
	} {
		if bucket, key, err := ParseLocation(location); err != nil || bucket != want[0] || key != want[1] {
			t.Errorf("%q: %q %q, %v", location, bucket, key, err)
		}
	}
	for _, location := range []string{"", "b", "s3://", "s3:///k", "s3://arn:aws:s3:::bucket/k", "s3://arn:aws:iam::1:role/x", "s3://" + arn, "s3://" + arn + "/", "s3://" + arn + "/a_b\x00"} {
		if bucket, key, err := ParseLocation(location); !errors.Is(err, ErrLocation) {
			t.Errorf("%q: %q %q, %v", location, bucket, key, err)
		}
	}
	// What comes of it is addressed, and named as the source of a copy.
	clean(t)
	s, _ := opened(t, Options{Region: "us-east-1"}, nil)
	bucket, key, _ := ParseLocation("s3://" + arn + ":ap/k")
	if a, err := s.resolve(t.Context(), bucket, "us-east-1"); err != nil || a.Host != "ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com" || a.Region != "eu-west-1" {
		t.Errorf("%+v, %v", a, err)
	}
	if got := CopySource(object.Ref{Bucket: bucket, Key: key}); got != arn+"/ap/object/k" {
		t.Error(got)
	}
	if got := arnOf(object.Ref{Bucket: bucket, Key: key}); got != arn+"/ap/object/k" {
		t.Errorf("the hint names %s", got)
	}
}
