package main

import (
	"strings"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// again is how a further command line names the job that this one is about.
func (a *app) again(dir string) string { return jobWords(dir, a.reached) }

// jobWords are the flags that name a job: its place, and how the bucket is reached that it
// lies in, where flags said so.
func jobWords(dir string, reached job.Connection) string {
	words := "--job " + object.ShellWord(dir)
	if strings.HasPrefix(dir, "s3://") {
		words += reachWords(reached)
	}
	return words
}

// reachWords are the flags by which a bucket is found once more; each begins with a space.
func reachWords(c job.Connection) string {
	var b strings.Builder
	for _, f := range []struct{ flag, value string }{{"endpoint-url", c.EndpointURL}, {"region", c.Region}, {"profile", c.Profile}, {"ca-bundle", c.CABundle}} {
		if f.value != "" {
			b.WriteString(" --" + f.flag + " " + object.ShellWord(f.value))
		}
	}
	switch c.PathStyle {
	case "on":
		b.WriteString(" --path-style")
	case "off":
		b.WriteString(" --path-style=false")
	}
	if c.NoVerifySSL {
		b.WriteString(" --no-verify-ssl")
	}
	return b.String()
}
