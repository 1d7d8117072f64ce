//go:build stores && ceph20

package main

import "github.com/resealhq/reseal/engine/s3test/realserver"

func init() {
	ceph20 := realStore{name: "Ceph20", start: realserver.StartCeph20, under: []string{underNone, "key-a", "key-b", underOld}, oddKeys: 50, guards: true,
		uncopied: map[string][]string{underFresh: {"a?versionId=1"}}, // there it goes by UploadPartCopy
		refused:  [][]string{{"--sse", "AES256"}}, unknown: []string{"--sse", "aws:kms", "--sse-kms-key-id", "nobody"},
		fates: map[string]map[string]string{
			"key-b":    {underNone: "done", "key-a": "done", "key-b": "already", underOld: "done", underFresh: "done"},
			underFresh: {underNone: "done", "key-a": "done", "key-b": "done", underOld: "done", underFresh: "already"},
		}}
	withS3 := ceph20
	withS3.name, withS3.refused, withS3.start = "Ceph20WithSSES3", nil, realserver.StartCeph20WithSSES3
	withS3.under = []string{underNone, underS3, "key-a", "key-b", underOld}
	withS3.fates = map[string]map[string]string{
		"key-b":    {underNone: "done", underS3: "done", "key-a": "done", "key-b": "already", underOld: "done", underFresh: "done"},
		underS3:    {underNone: "done", underS3: "already", "key-a": "done", "key-b": "done", underOld: "done", underFresh: "done"},
		underFresh: {underNone: "done", underS3: "done", "key-a": "done", "key-b": "done", underOld: "done", underFresh: "already"},
	}
	realStores = append(realStores, ceph20, withS3)
	vaultStores = append(vaultStores, ceph20)
}
