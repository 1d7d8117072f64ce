package conformance_test

import (
	"testing"

	"github.com/resealhq/reseal/engine/s3test/conformance"
)

// TestConformance runs s3store through the suite, over every server.
func TestConformance(t *testing.T) {
	for _, server := range conformance.Servers {
		t.Run(server.Name, func(t *testing.T) {
			conformance.Run(t, server.Start(t), conformance.OpenS3Store)
		})
	}
}
