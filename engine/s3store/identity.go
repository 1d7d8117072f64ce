package s3store

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Identity is the ARN of whoever signs the requests, as STS tells it. Every identity may
// ask for its own, but a network may have no way to STS. Nobody but AWS is asked: elsewhere
// it is empty.
func (s *Store) Identity(ctx context.Context) (string, error) {
	if !s.aws {
		return "", nil
	}
	c := sts.NewFromConfig(s.cfg, func(o *sts.Options) {
		o.RetryMaxAttempts = 1
		o.HTTPSignerV4 = byStoresClock{v4.NewSigner(), s}
		o.Region = s.keyRegion()
		o.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(s.retrieve))
	})
	out, err := c.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Arn), nil
}
