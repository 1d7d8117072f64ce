package main

import "strings"

// flags says by which flag a person gives what package job calls by its fields.
// Its errors, hints and differences are told in these words. Of two names that
// begin alike the longer stands first.
var flags = []string{
	"Spec.Source", "SOURCE",
	"Source.ManifestFormat", "--manifest-format",
	"Source.Manifest", "--manifest",
	"Source.Bucket", "--bucket",
	"Target.SSE", "--sse",
	"Target.KMSKeyID", "--sse-kms-key-id",
	"Target.KMSDefaultKey", "--sse-kms-default-key",
	"Target.KMSContext", "--sse-kms-context",
	"Target.BucketKey", "--bucket-key",
	"Target.CustomerKeyFile", "--sse-c-key-file",
	"Target.SourceKeyFile", "--source-sse-c-key-file",
	"Target.Dest", "--dest",
	"Target.StorageClass", "--storage-class",
	"Target.StampMtime", "--stamp-mtime",
	"ClientSide.Format", "--client-side",
	"ClientSide.Context", "--cse-context",
	"ClientSide.SourceKMSKeyID", "--source-cse-kms-key-id",
	"ClientSide.KMSKeyID", "--cse-kms-key-id",
	"ClientSide.Wrap", "--cse-wrap",
	"ClientSide.SourceKeyFile", "--source-cse-key-file",
	"ClientSide.KeyFile", "--cse-key-file",
	"Selection.Patterns", "--include/--exclude",
	"Selection.MinSize", "--min-size",
	"Selection.MaxSize", "--max-size",
	"Selection.ModifiedBefore", "--modified-before",
	"Selection.ModifiedAfter", "--modified-after",
	"Selection.OnlyEncryption", "--only-encryption",
	"Selection.OnlyClientSide", "--only-client-side",
	"Selection.OnlyStorageClass", "--only-storage-class",
	"Selection.Versions", "--versions",
	"Selection.Limit", "--limit",
	"DestConnection.EndpointURL", "--dest-endpoint-url",
	"DestConnection.Region", "--dest-region",
	"DestConnection.Profile", "--dest-profile",
	"Spec.DestConnection", "--dest-endpoint-url, --dest-region or --dest-profile",
	"Connection.EndpointURL", "--endpoint-url",
	"Connection.Region", "--region",
	"Connection.Profile", "--profile",
	"Connection.PathStyle", "--path-style",
	"Connection.CABundle", "--ca-bundle",
	"Connection.NoVerifySSL", "--no-verify-ssl",
	"Connection.RequestPayer", "--request-payer",
	"Connection.ExpectedBucketOwner", "--expected-bucket-owner",
	"Policy.Operation", "--operation",
	"Policy.Inspect", "--inspect",
	"Policy.Verify", "--verify",
	"Policy.Guard", "--guard",
	"Policy.Accept", "--accept",
	"Policy.MultipartThreshold", "--multipart-threshold",
	"Policy.PartSize", "--part-size",
	"a new job with Job.Divide", "a new job with `reseal plan --shards N`",
	"Options.Free", "--shard any",
	"Limits.KMSRequestsPerSecond", "--max-kms-requests-per-second",
	"Limits.RequestsPerSecond", "--max-requests-per-second",
	"Limits.StopAfter", "--stop-after",
	"Limits.MaxFailures", "--max-failures",
	"EvidenceOptions.Caller", "--evidence-caller",
	"PruneOptions.Noncurrent", "--versions noncurrent",
	"PruneOptions.OverMarkers", "--deleted-objects",
	"AuditOptions.Sample", "--sample",
	"ExamineOptions.ProbePrefix", "--probe",
	"Examine tells", "`reseal doctor` tells",
	"planner/doctor.Policy prints", "`reseal iam-policy` prints",
}

// flagOf is the flag of one field.
func flagOf(field string) string { return inFlags(field) }

// inFlags tells a sentence of package job in the words of the command line.
func inFlags(text string) string { return strings.NewReplacer(flags...).Replace(text) }
