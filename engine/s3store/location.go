package s3store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrLocation is the cause where a place is not s3://BUCKET[/KEY].
var ErrLocation = errors.New("not s3://BUCKET[/PREFIX]")

// accessPoint is the ARN of an access point, with what follows it. The AWS CLI
// takes a colon before its name as well as a slash.
var accessPoint = regexp.MustCompile(`^(arn:aws[a-z-]*:s3[a-z-]*:[a-z0-9-]*:[0-9]{12}:accesspoint)[:/]([A-Za-z0-9.-]+)(?:/(.*))?$`)

// ParseLocation takes s3://BUCKET[/KEY] apart, where BUCKET may be the ARN of an
// access point: s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME[/KEY]. The bucket
// that it gives is what every request of a Store takes for one.
func ParseLocation(location string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(location, "s3://")
	if !ok {
		return "", "", fmt.Errorf("%q: %w", location, ErrLocation)
	}
	if !strings.HasPrefix(rest, "arn:") {
		if bucket, key, _ = strings.Cut(rest, "/"); bucket == "" {
			return "", "", fmt.Errorf("%q: %w", location, ErrLocation)
		}
		return bucket, key, nil
	}
	part := accessPoint.FindStringSubmatch(strings.ReplaceAll(rest, "\n", "\x00"))
	if part == nil || strings.Contains(rest, "\x00") {
		return "", "", fmt.Errorf("%q: %w, and an ARN here is that of an access point: s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME[/PREFIX]", location, ErrLocation)
	}
	return part[1] + "/" + part[2], strings.TrimPrefix(rest[len(part[1])+1+len(part[2]):], "/"), nil
}
