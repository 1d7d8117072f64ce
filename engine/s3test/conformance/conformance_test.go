package conformance_test

import (
	"testing"

	"github.com/resealhq/reseal/engine/hot"
	"github.com/resealhq/reseal/engine/s3test/conformance"
)

// TestS3Store runs s3store through the suite, over every server.
func TestS3Store(t *testing.T) { overEveryServer(t, conformance.OpenS3Store) }

// TestWire does the same with wire before it, as cmd/reseal puts them together.
func TestWire(t *testing.T) { overEveryServer(t, openWire) }

func overEveryServer(t *testing.T, open conformance.Opener) {
	for _, server := range conformance.Servers {
		t.Run(server.Name, func(t *testing.T) { conformance.Run(t, server.Start(t), open) })
	}
}

func openWire(t *testing.T, at conformance.Login) conformance.Store {
	t.Helper()
	s := conformance.S3Store(t, at)
	c, err := hot.Client(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return conformance.WithHot(c, s)
}
