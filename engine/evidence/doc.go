// Package evidence makes of a job's report something that can be checked without
// trusting whoever made it. It promises: a changed bit in any file of the folder
// is found; one object's row can be proved alone, in under two kilobytes; and
// sha256sum and openssl suffice to check the rest.
//
//	report.csv, report.parquet   one row an object
//	summary.json                 what came of the job
//	verification.json            what the last verification found, or that there was none
//	policy.json, identity.json   what was asked for; who ran the job, and who made the evidence
//	statement.json               an in-toto statement: the SHA-256 of each of these, and the root
//	                             of a Merkle tree over the rows of report.csv
//	envelope.json                the statement in a DSSE envelope, signed
//	signed.bin, signature.bin,   the same for openssl: the bytes that were signed, the signature
//	public.pem                   and the key
//
// What it shows is that these files are those that the holder of the key signed.
// That the store told the truth, and that the key is who one thinks, it cannot
// show: compare the key with one that came another way.
package evidence
