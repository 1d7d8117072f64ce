package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
)

// connection reads how the store is reached.
type connection struct{ job.Connection }

func (c *connection) AddFlags(f *pflag.FlagSet) {
	addReach(f, &c.Connection, "")
	f.StringVar(&c.RequestPayer, "request-payer", "", "\"requester\" confirms that you pay for the requests")
	f.StringVar(&c.ExpectedBucketOwner, "expected-bucket-owner", "", "the account that the bucket must belong to")
}

// addReach adds the flags by which a bucket is found; whose stands before what each says.
func addReach(f *pflag.FlagSet, c *job.Connection, whose string) {
	f.StringVar(&c.EndpointURL, "endpoint-url", "", whose+"the S3 endpoint, where it is not AWS")
	f.StringVar(&c.Region, "region", "", whose+"the region of the bucket")
	f.StringVar(&c.Profile, "profile", "", whose+"the profile of the shared configuration files")
	f.Var(&boolWord{&c.PathStyle}, "path-style", whose+"address the bucket in the path, not in the host name; default where the endpoint is not AWS")
	f.Lookup("path-style").NoOptDefVal = "true"
	f.StringVar(&c.CABundle, "ca-bundle", "", whose+"a file of CA certificates to trust")
	f.BoolVar(&c.NoVerifySSL, "no-verify-ssl", false, whose+"do not verify the server's certificate")
}

// destConnection reads how the store of --dest is reached.
type destConnection struct{ job.DestConnection }

func (c *destConnection) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&c.EndpointURL, "dest-endpoint-url", "", "the S3 endpoint of --dest, where it is another store; the source's by default")
	f.StringVar(&c.Region, "dest-region", "", "the region of --dest; the source's by default")
	f.StringVar(&c.Profile, "dest-profile", "", "the profile that writes to --dest; the source's credentials by default")
}

// Spec is what the flags say; nil where none was given.
func (c *destConnection) Spec() *job.DestConnection {
	if c.DestConnection == (job.DestConnection{}) {
		return nil
	}
	d := c.DestConnection
	return &d
}

func (c *destConnection) fill(frozen *job.DestConnection, given func(string) bool) {
	if frozen == nil {
		return
	}
	for _, f := range []struct {
		flag   string
		value  *string
		frozen string
	}{{"dest-endpoint-url", &c.EndpointURL, frozen.EndpointURL}, {"dest-region", &c.Region, frozen.Region}, {"dest-profile", &c.Profile, frozen.Profile}} {
		if !given(f.flag) {
			*f.value = f.frozen
		}
	}
}

// fill takes from a frozen connection what the command line did not say. Where
// the whole command line was given again, the environment's endpoint speaks
// too, so that a job is not quietly carried on against another store than the
// person means.
func (c *connection) fill(frozen *job.Connection, given func(string) bool, whole bool) {
	if !given("endpoint-url") && (!whole || job.EndpointOfEnvironment() == "") {
		c.EndpointURL = frozen.EndpointURL
	}
	for _, f := range []struct {
		flag   string
		value  *string
		frozen string
	}{{"region", &c.Region, frozen.Region}, {"profile", &c.Profile, frozen.Profile}, {"ca-bundle", &c.CABundle, frozen.CABundle},
		{"request-payer", &c.RequestPayer, frozen.RequestPayer}, {"expected-bucket-owner", &c.ExpectedBucketOwner, frozen.ExpectedBucketOwner},
		{"path-style", &c.PathStyle, frozen.PathStyle}} {
		if !given(f.flag) {
			*f.value = f.frozen
		}
	}
	if !given("no-verify-ssl") {
		c.NoVerifySSL = frozen.NoVerifySSL
	}
}

// placeFlags read which job a verb that begins none is about.
type placeFlags struct {
	dir string
	// reached is how the bucket is reached where the job lies in one. A job directory
	// knows how its stores are.
	reached job.Connection
}

func (p *placeFlags) AddFlags(f *pflag.FlagSet) {
	addJobDir(f, &p.dir)
	p.addReached(f)
}

// addReached adds the flags that say how the bucket of a job is reached.
func (p *placeFlags) addReached(f *pflag.FlagSet) {
	addReach(f, &p.reached, "of a job in a bucket: ")
}

// connection is how the place is reached; refused where it is a directory.
func (p *placeFlags) connection() (job.Connection, error) {
	if p.reached != (job.Connection{}) && !strings.HasPrefix(p.dir, "s3://") {
		return p.reached, unusablef("leave out --endpoint-url and what else says how a bucket is reached: the job there knows how its stores are", "%s is no place in a bucket", p.dir)
	}
	return p.reached, nil
}
