//go:build kubernetes

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// rows is the one report of a job, by key.
func (c *cluster) rows(name string) map[string]map[string]string {
	c.Helper()
	return tableOf(c, string(c.reseal(0, "report", "--job", place(name)))).by(c, byKey)
}

// checkEach looks at every object of a job and at its one report: each was copied once.
// It counts those that a killed process had copied and not recorded, which the next one
// asked about.
func (c *cluster) checkEach(name string, objects int) (asked int) {
	c.Helper()
	var s runSummary
	out := c.reseal(0, "status", "--job", place(name), "--json")
	if err := json.Unmarshal(out, &s); err != nil || !s.Complete || s.Planned != objects || s.Done != objects {
		c.Errorf("status: %v: %s", err, out)
	}
	rows := c.rows(name)
	for key, r := range rows {
		if r["state"] != "done" {
			c.Errorf("%s: %v", key, r)
		}
		if strings.HasPrefix(r["message"], "found as wanted after an interruption") {
			asked++
		}
	}
	c.Logf("%s: %d objects were copied by a process that was killed before it could say so", name, asked)
	versions := c.versions(name)
	for key, n := range versions {
		if n != 2 {
			c.Errorf("%s has %d versions", key, n)
		}
	}
	if len(rows) != objects || len(versions) != objects {
		c.Errorf("%d rows and %d keys with versions, want %d", len(rows), len(versions), objects)
	}
	c.sampled(name, rows)
	verified := c.reseal(0, "verify", "--job", place(name), "--no-dependents", "--json")
	if !strings.Contains(string(verified), fmt.Sprintf(`"verified":%d`, objects)) {
		c.Errorf("verify: %s", verified)
	}
	return asked
}

// versions counts those of each key, and wants no delete marker.
func (b *bed) versions(bucket string) map[string]int {
	b.Helper()
	counts := map[string]int{}
	pages := s3.NewListObjectVersionsPaginator(b.client, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range page.Versions {
			counts[*v.Key]++
		}
		if len(page.DeleteMarkers) > 0 {
			b.Errorf("there are delete markers: %v", page.DeleteMarkers[0])
		}
	}
	return counts
}

// sampled asks another client about every twentieth object.
func (c *cluster) sampled(bucket string, rows map[string]map[string]string) {
	c.Helper()
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(8)
	asked := 0
	for key, row := range rows {
		if asked++; asked%20 != 0 {
			continue
		}
		g.Go(func() error {
			head, err := c.client.HeadObject(c.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if aws.ToString(head.SSEKMSKeyId) != realserver.ShownKey(c.server.Keys[0]) || aws.ToString(head.VersionId) != row["new_version_id"] {
				c.Errorf("%s is under %q, version %q: %v", key, aws.ToString(head.SSEKMSKeyId), aws.ToString(head.VersionId), row)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		c.Error(err)
	}
}
