// Package hot joins wire's client to a store that s3store opened: one set of addresses,
// credentials, certificates, proxies and errors, whoever sends a request.
package hot

import (
	"context"
	"net/http"
	"net/url"

	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/wire"
)

// Client sends the requests that every object costs, and those that may, to where the store
// is: the same addresses, credentials, clock, certificates, proxies and table of errors, at
// a fraction of the cost. The store reads details of objects by it from then on.
func Client(s *s3store.Store) (*wire.Client, error) {
	t, o := s.Transport(), s.Options()
	c, err := wire.New(wire.Options{
		Resolve: func(ctx context.Context, bucket string) (wire.Address, error) {
			a, err := s.Address(ctx, bucket)
			return wire.Address(a), err
		},
		Credentials: func(ctx context.Context) (wire.Credentials, error) {
			id, secret, token, expires, err := s.Credentials(ctx)
			return wire.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token, Expires: expires}, err
		},
		Classify: s.Failure,
		Whose:    s.Whose,
		TLS:      t.TLSClientConfig,
		Proxy: func(u *url.URL) (*url.URL, error) {
			if t.Proxy == nil {
				return nil, nil
			}
			return t.Proxy(&http.Request{URL: u})
		},
		Dial:                o.Dial,
		UserAgent:           o.UserAgent,
		RequestPayer:        o.RequestPayer != "",
		ExpectedBucketOwner: o.ExpectedBucketOwner,
		Now:                 s.Now,
	})
	if err != nil {
		return nil, err
	}
	s.ReadBy(func(ctx context.Context, d s3store.Detail) (s3store.DetailReply, error) {
		got, err := c.Detail(ctx, wire.DetailRequest(d))
		return s3store.DetailReply(got), err
	})
	return c, nil
}
