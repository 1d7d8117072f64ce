//go:build stores

package main

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestStoresOtherWriters is TestL2OtherWriters on other stores, where versions are kept: Ceph's copies know
// no condition, so that a write between the look at an object and its copy comes to lie below that.
func TestStoresOtherWriters(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(testing.TB, realserver.Options) *realserver.Server
		sse   []string
		under types.ServerSideEncryption
	}{
		{"Ceph", realserver.StartCeph, []string{"aws:kms", "--sse-kms-key-id", "key-b"}, types.ServerSideEncryptionAwsKms},
		{"SeaweedFS", realserver.StartSeaweedFS, []string{"AES256"}, types.ServerSideEncryptionAes256},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, c.start(t, realserver.Options{Keys: []string{"key-a", "key-b"}}), "writers")
			b.bucketVersioning(types.BucketVersioningStatusEnabled)
			w := newOtherWriters(b, 400, false)
			w.versioned, w.sse, w.under = true, c.sse, c.under
			w.write(c.name)
		})
	}
}
