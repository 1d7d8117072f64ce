//go:build stores && ceph20

package canary_test

import (
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

func init() { measured = append(measured, measuredStore{s3test.Ceph20(), realserver.StartCeph20}) }
