//go:build kubernetes

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// put puts a small object.
func (c *cluster) put(bucket, key, body string) {
	c.Helper()
	if _, err := c.client.PutObject(c.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)}); err != nil {
		c.Fatal(err)
	}
}

// codes are the exit codes of a Job's pods by index, in the order in which they began.
func (c *cluster) codes(job string) map[string][]int {
	codes := map[string][]int{}
	for _, p := range c.ran(job) {
		<-p.ended
		codes[p.index()] = append(codes[p.index()], exitCodeOf(p.cmd.ProcessState))
	}
	return codes
}

// explain tells, where the test has failed, what the pods of a Job have printed.
func (c *cluster) explain(job string) {
	if !c.Failed() {
		return
	}
	for _, p := range c.ran(job) {
		c.Logf("index %s on %s, alive %v: %s", p.index(), p.Spec.NodeName, p.lives(), p.said())
	}
}

// failsAtOnce: a pod that ends by 2 ends the Job, though two others are at work and
// nothing was tried three times. They drain, and give their shards back.
func (c *cluster) failsAtOnce() {
	const name = "at-once"
	defer c.explain(name)
	c.seeded(name, 90)
	c.planned(name, 3, 90)
	c.put("state", "jobs/"+name+"/leases/0001", "no lease at all")
	c.applied(name, 3, "--max-requests-per-second", "6")
	_, how := c.api.end(c.T, name, 3*time.Minute)
	if how.Type != "Failed" || how.Reason != "PodFailurePolicy" || !strings.Contains(how.Message, "exit code 2") {
		c.Errorf("%+v", how)
	}
	if got := fmt.Sprint(c.codes(name)); got != "map[0:[130] 1:[2] 2:[130]]" {
		c.Errorf("the pods ended by %s", got)
	}
	if _, err := c.client.DeleteObject(c.Context(), &s3.DeleteObjectInput{Bucket: aws.String("state"), Key: aws.String("jobs/" + name + "/leases/0001")}); err != nil {
		c.Fatal(err)
	}
	start := time.Now()
	if s := c.summary("--job", place(name)); s.Done != 90 || !s.Complete {
		c.Errorf("taken up: %+v", s)
	}
	if took := time.Since(start); took > 45*time.Second { // a lease of a minute was not waited for
		c.Errorf("taking up took %s", took)
	}
}

// failsAnIndex: a pod that ends by 3 ends its index, at once, and no other.
func (c *cluster) failsAnIndex() {
	const name = "an-index"
	defer c.explain(name)
	if _, err := c.client.CreateBucket(c.Context(), &s3.CreateBucketInput{Bucket: aws.String(name)}); err != nil {
		c.Fatal(err)
	}
	for i := range 60 {
		c.put(name, fmt.Sprintf("k/%02d", i), "body")
	}
	// A copy of this one would write over the version before it.
	c.setVersioning(name, types.BucketVersioningStatusEnabled)
	c.put(name, "k/30", "a version of its own")
	c.setVersioning(name, types.BucketVersioningStatusSuspended)
	c.planned(name, 3, 60)
	c.applied(name, 3)
	j, how := c.api.end(c.T, name, 3*time.Minute)
	if how.Type != "Failed" || how.Reason != "FailedIndexes" || j.Status.CompletedIndexes != "0,2" || j.Status.FailedIndexes != "1" {
		c.Errorf("%+v %+v", how, j.Status)
	}
	if got := fmt.Sprint(c.codes(name)); got != "map[0:[0] 1:[3] 2:[0]]" {
		c.Errorf("the pods ended by %s", got)
	}
	rows, left := c.rows(name), 0
	for key, r := range rows {
		if r["state"] != "done" {
			left++
			if key != "k/30" || r["reason"] != "null-version" {
				c.Errorf("%s: %v", key, r)
			}
		}
	}
	if len(rows) != 60 || left != 1 {
		c.Errorf("%d rows, %d not done", len(rows), left)
	}
}

const twice = "twice"

// oneIndexTwice: a node loses the network and its object is deleted, as autoscalers do,
// while its pod works on. Kubernetes starts the index elsewhere, and has it twice then.
// The second waits as long as the first holds its lease; it takes over when the first
// hangs; and the first ends when it wakes, having sent nothing more.
func (c *cluster) oneIndexTwice(lost *node, first *nodePod) {
	defer c.explain(twice)
	c.until(twice, "the first is at work", func(s *bucketStatus) bool { return s.Done > 10 })
	lost.cutOff()
	if err := c.api.send(c.Context(), http.MethodDelete, "/api/v1/nodes/node-lost", nil); err != nil {
		c.Fatal(err)
	}
	gone := time.Now()
	second := c.podOf(twice, 0, first)
	if !first.lives() {
		c.Fatalf("the first has ended: %s", first.said())
	}
	c.Logf("index 0 twice, %s after its node was deleted", time.Since(gone).Round(time.Second))
	c.until(twice, "the second waits", func(*bucketStatus) bool {
		return strings.Contains(second.said(), "another process has the lease of this shard")
	})
	if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		c.Fatal(err)
	}
	c.until(twice, "the second has the lease", func(*bucketStatus) bool { return c.holder(twice, 0) == second.cmd.Process.Pid })
	c.until(twice, "the second takes settings", func(*bucketStatus) bool {
		out, err := c.command("set", "--job", place(twice)+"/shards/0000", "--max-requests-per-second", "0", "--json").Output()
		return err == nil && strings.Contains(string(out), `"taken_up":true`)
	})
	if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.Fatal(err)
	}
	<-first.ended
	if code := exitCodeOf(first.cmd.ProcessState); code != 1 || !strings.Contains(first.said(), "another process has taken the job over") {
		c.Errorf("the first: exit code %d: %s", code, first.said())
	}
	j, how := c.api.end(c.T, twice, 3*time.Minute)
	if how.Type != "Complete" || j.Status.Succeeded != 1 {
		c.Fatalf("%+v %+v", how, j.Status)
	}
	c.checkEach(twice, 2000)
}

// until waits for something about a job.
func (c *cluster) until(job, what string, there func(*bucketStatus) bool) {
	c.Helper()
	var s bucketStatus
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); <-time.After(300 * time.Millisecond) {
		out := c.reseal(0, "status", "--job", place(job), "--json")
		s = bucketStatus{}
		if err := json.NewDecoder(bytes.NewReader(out)).Decode(&s); err != nil {
			c.Fatal(err)
		}
		if there(&s) {
			return
		}
	}
	c.Fatalf("it never came that %s: %+v", what, s)
}

// holder is the process that has the lease of a shard.
func (c *cluster) holder(job string, shard int) int {
	c.Helper()
	got, err := c.client.GetObject(c.Context(), &s3.GetObjectInput{Bucket: aws.String("state"), Key: aws.String(fmt.Sprintf("jobs/%s/leases/%04d", job, shard))})
	if err != nil {
		c.Fatal(err)
	}
	defer got.Body.Close()
	var lease struct{ PID int }
	if err := json.NewDecoder(got.Body).Decode(&lease); err != nil {
		c.Fatal(err)
	}
	return lease.PID
}
