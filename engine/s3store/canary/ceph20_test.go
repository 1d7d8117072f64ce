//go:build stores && ceph20

package canary_test

import (
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

func init() {
	withS3 := s3test.Ceph20()
	withS3.Name, withS3.RefusesAES256 = "Ceph20WithSSES3", false
	measured = append(measured, measuredStore{s3test.Ceph20(), realserver.StartCeph20},
		measuredStore{withS3, realserver.StartCeph20WithSSES3})
}
