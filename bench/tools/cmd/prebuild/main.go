// Prebuild builds the named tools of bench/tools ahead of the tests that start
// them, and prints where each one lies.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/resealhq/reseal/bench/tools"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: prebuild NAME...   (minio kes s3ec seaweedfs iceberg kubernetes s5cmd rclone mc)")
		os.Exit(2)
	}
	if err := prebuild(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func prebuild(names []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, name := range names {
		path, err := tools.Build(ctx, name)
		if err != nil {
			return err
		}
		fmt.Println(name, path)
	}
	return nil
}
