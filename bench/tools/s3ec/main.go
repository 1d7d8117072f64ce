// S3ec writes and reads one object with a client that AWS publishes for Go, so
// that tests can ask whether it agrees with us. The text is on standard input or
// output.
//
//	s3ec put|get -client v4|v3|v1 -s3 URL -kms URL -bucket B -key K [-kms-key ARN] [...]
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
)

// job is what the command line asks for.
type job struct {
	client, s3, kms, bucket, key, kmsKey string
	accessKey, secret, region            string
	suite                                string            // v4: what it writes
	wrap, content                        string            // v1: what it writes
	instruction                          bool              // v1: write the envelope into a file
	legacy                               bool              // read what is not written any more
	strict                               bool              // v4: read nothing without key commitment
	context                              map[string]string // the user's own entries
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var j job
	var entries string
	f := flag.NewFlagSet("s3ec", flag.ContinueOnError)
	f.StringVar(&j.client, "client", "v4", "v4, v3 (amazon-s3-encryption-client-go) or v1 (aws-sdk-go)")
	f.StringVar(&j.s3, "s3", "", "endpoint")
	f.StringVar(&j.kms, "kms", "", "endpoint")
	f.StringVar(&j.bucket, "bucket", "", "")
	f.StringVar(&j.key, "key", "", "")
	f.StringVar(&j.kmsKey, "kms-key", "", "that wraps; to read, the only one that may have")
	f.StringVar(&j.suite, "suite", "committed", "v4 and v3 write committed or gcm")
	f.StringVar(&j.wrap, "wrap", "kms+context", "v1 writes kms+context or kms")
	f.StringVar(&j.content, "content", "gcm", "v1 writes gcm or cbc")
	f.BoolVar(&j.instruction, "instruction", false, "v1 writes an instruction file")
	f.BoolVar(&j.legacy, "legacy", false, "read legacy wraps and content")
	f.BoolVar(&j.strict, "strict", false, "v4: read with the default policy")
	f.StringVar(&j.accessKey, "access-key", "test", "")
	f.StringVar(&j.secret, "secret", "test", "")
	f.StringVar(&j.region, "region", "us-east-1", "")
	f.StringVar(&entries, "context", "{}", "JSON")
	if len(args) == 0 || f.Parse(args[1:]) != nil {
		return fmt.Errorf("usage: s3ec put|get -client v4|v3|v1 ...")
	}
	if err := json.Unmarshal([]byte(entries), &j.context); err != nil {
		return err
	}
	with, ok := map[string]judge{"v4": v4{}, "v3": v3{}, "v1": v1{}}[j.client]
	switch {
	case !ok:
		return fmt.Errorf("no client %q", j.client)
	case args[0] == "put":
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return with.put(ctx, j, text)
	case args[0] == "get":
		text, err := with.get(ctx, j)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(text)
		return err
	}
	return fmt.Errorf("put or get, not %q", args[0])
}

type judge interface {
	put(ctx context.Context, j job, text []byte) error
	get(ctx context.Context, j job) ([]byte, error)
}
