package conformance

const held = "x-amz-object-lock-legal-hold: ON\nContent-MD5: $md5"

// The facts about buckets, locks and listings.
var recordedBuckets = []Recorded{
	{Name: "AES256 with a KMS key as the default", Ask: Ask{Do: "PUT /?encryption", Headers: "Content-MD5: $md5", Body: `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>x</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`},
		Status: 400, Code: "InvalidArgument", Has: []string{"<ArgumentName>ApplyServerSideEncryptionByDefault<"}, Source: snapshots},
	{Name: "two rules as the default", Ask: Ask{Do: "PUT /?encryption", Headers: "Content-MD5: $md5", Body: `<ServerSideEncryptionConfiguration><Rule/><Rule/></ServerSideEncryptionConfiguration>`},
		Status: 400, Code: "MalformedXML", Source: snapshots},
	{Name: "bypass of governance where there are no locks", Before: []Ask{putOne}, Ask: Ask{Do: "DELETE /k", Headers: "x-amz-bypass-governance-retention: true"},
		Status: 400, Code: "InvalidArgument", Has: []string{"<ArgumentName>x-amz-bypass-governance-retention<"}, Source: snapshots},
	{Name: "no bypass of governance where there are no locks", Before: []Ask{putOne}, Ask: Ask{Do: "DELETE /k", Headers: "x-amz-bypass-governance-retention: false"},
		Status: 400, Code: "InvalidArgument", Source: snapshots},
	{Name: "legal hold that nobody set", Kind: Locking, Before: []Ask{putOne}, Ask: Ask{Do: "GET /k?legal-hold"},
		Status: 404, Code: "NoSuchObjectLockConfiguration", Source: snapshots},
	{Name: "legal hold that was taken away", Kind: Locking, Before: []Ask{{Do: "PUT /k", Headers: held, Body: "test"}, holdOff},
		Ask: Ask{Do: "GET /k?legal-hold"}, Status: 200, Has: []string{"<Status>OFF<"}, Source: snapshots},
	{Name: "HEAD of a legal hold that was taken away", Kind: Locking, Before: []Ask{{Do: "PUT /k", Headers: held, Body: "test"}, holdOff},
		Ask: Ask{Do: "HEAD /k"}, Status: 200, Has: []string{"x-amz-object-lock-legal-hold: OFF"}, Source: snapshots},
	{Name: "lock headers where there are no locks", Ask: Ask{Do: "PUT /k", Headers: held, Body: "x"}, Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "V1 marker inside a common prefix", Before: folder, Ask: Ask{Do: "GET /?delimiter=%2F&prefix=$prefix%2Ff%2F&marker=$prefix%2Ff%2Fa%2F1"},
		Status: 200, Has: []string{"<Key>$prefix/f/k<"}, Lacks: []string{"<CommonPrefixes>"}, Source: snapshots},
	{Name: "versions marker inside a common prefix", Kind: Versioned, Before: folder, Ask: Ask{Do: "GET /?delimiter=%2F&key-marker=$prefix%2Ff%2Fa%2F1&prefix=$prefix%2Ff%2F&versions"},
		Status: 200, Has: []string{"<Key>$prefix/f/k<"}, Lacks: []string{"<CommonPrefixes>"}, Source: snapshots},
	{Name: "versions marker without its key", Kind: Versioned, Ask: Ask{Do: "GET /?version-id-marker=x&versions"}, Status: 400, Code: "InvalidArgument", Source: snapshots},
	{Name: "encoding that there is not", Ask: Ask{Do: "GET /?encoding-type=value&list-type=2"}, Status: 400, Code: "InvalidArgument", Source: snapshots},
	{Name: "metadata in words of ASCII", Before: []Ask{{Do: "PUT /k", Headers: "x-amz-meta-m: =?UTF-8?B?YWJj?=", Body: "x"}},
		Ask: Ask{Do: "HEAD /k"}, Status: 200, Has: []string{"x-amz-meta-m: abc"}, Source: snapshots},
	{Name: "metadata in B words", Before: []Ask{{Do: "PUT /k", Headers: "x-amz-meta-m: =?UTF-8?B?w4RNw4Raw5XDkSBTMw==?=", Body: "x"}},
		Ask: Ask{Do: "HEAD /k"}, Status: 200, Has: []string{"x-amz-meta-m: =?UTF-8?Q?=C3=84M=C3=84Z=C3=95=C3=91_S3?="}, Source: snapshots},
	{Name: "metadata of control characters", Before: []Ask{{Do: "PUT /k", Headers: "x-amz-meta-m: =?UTF-8?B?AAECAw==?=", Body: "x"}},
		Ask: Ask{Do: "HEAD /k"}, Status: 200, Has: []string{"x-amz-meta-m: =?UTF-8?B?AAECAw==?="}, Source: snapshots},
}

var (
	holdOff = Ask{Do: "PUT /k?legal-hold", Headers: "Content-MD5: $md5", Body: `<LegalHold><Status>OFF</Status></LegalHold>`}
	folder  = []Ask{{Do: "PUT /f/a/1", Body: "x"}, {Do: "PUT /f/a/2", Body: "x"}, {Do: "PUT /f/k", Body: "x"}}
)
