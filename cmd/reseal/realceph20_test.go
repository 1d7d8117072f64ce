//go:build stores && ceph20

package main

import "github.com/resealhq/reseal/engine/s3test/realserver"

func init() {
	realStores = append(realStores, realStore{name: "Ceph20", start: realserver.StartCeph20, under: []string{underNone, "key-a", "key-b", underOld}, oddKeys: 50, guards: true,
		uncopied: map[string][]string{underFresh: {"a?versionId=1"}}, // there it goes by UploadPartCopy
		refused:  [][]string{{"--sse", "AES256"}}, unknown: []string{"--sse", "aws:kms", "--sse-kms-key-id", "nobody"},
		fates: map[string]map[string]string{
			"key-b":    {underNone: "done", "key-a": "done", "key-b": "already", underOld: "done", underFresh: "done"},
			underFresh: {underNone: "done", "key-a": "done", "key-b": "done", underOld: "done", underFresh: "already"},
		}})
}
