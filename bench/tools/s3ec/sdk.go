package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func (j job) s3Client() *s3.Client {
	return s3.New(s3.Options{Region: j.region, UsePathStyle: true, EndpointResolver: s3.EndpointResolverFromURL(j.s3),
		Credentials: credentials.NewStaticCredentialsProvider(j.accessKey, j.secret, ""), Retryer: aws.NopRetryer{}})
}

func (j job) kmsClient() *kms.Client {
	return kms.New(kms.Options{Region: j.region, EndpointResolver: kms.EndpointResolverFromURL(j.kms),
		Credentials: credentials.NewStaticCredentialsProvider(j.accessKey, j.secret, ""), Retryer: aws.NopRetryer{}})
}
