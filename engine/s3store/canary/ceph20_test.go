//go:build stores && ceph20

package canary_test

import (
	"os"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

func init() {
	measured = append(measured, measuredStore{s3test.Ceph20(), func(tb testing.TB, o realserver.Options) *realserver.Server {
		if o.Root = os.Getenv("CEPH_ROOT"); o.Root == "" {
			tb.Fatal("CEPH_ROOT names no Debian with a Ceph: run these tests by make test-ceph20")
		}
		return realserver.StartCeph(tb, o)
	}})
}
