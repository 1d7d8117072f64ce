package conformance_test

import (
	"context"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test/conformance"
	"github.com/resealhq/reseal/engine/wire"
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
	hot, err := wire.New(wire.Options{
		Resolve: func(ctx context.Context, bucket string) (wire.Address, error) {
			a, err := s.Address(ctx, bucket)
			return wire.Address(a), err
		},
		Credentials: func(ctx context.Context) (wire.Credentials, error) {
			id, secret, token, expires, err := s.Credentials(ctx)
			return wire.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token, Expires: expires}, err
		},
		Classify: func(ctx context.Context, f wire.Failed) *object.Error { return s.Failure(ctx, s3store.Failed(f)) },
		TLS:      s.Transport().TLSClientConfig,
		Now:      s.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hot.Close)
	return conformance.WithHot(hot, s)
}
