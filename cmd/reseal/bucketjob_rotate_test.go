package main

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestAJobInABucketOutlivesItsCredentials: the credentials are exchanged long before the time that
// they were given for, once with new ones there at once and once after a while. What renews the lease
// fetches the new ones as well, and while there are none somebody is told.
func TestAJobInABucketOutlivesItsCredentials(t *testing.T) {
	t.Parallel()
	st := newBucketStage(t, 1200)
	issue := func(n int) string {
		c := s3test.Credentials{AccessKeyID: fmt.Sprintf("ASIAROTATED%09d", n), SecretAccessKey: fmt.Sprintf("secret-of-session-%d", n), SessionToken: fmt.Sprintf("token-of-session-%d", n)}
		st.server.Issue(c, time.Now().Add(6*time.Hour))
		return c.AccessKeyID
	}
	st.env = slices.DeleteFunc(st.env, func(e string) bool {
		return strings.HasPrefix(e, "AWS_ACCESS_KEY_ID=") || strings.HasPrefix(e, "AWS_SECRET_ACCESS_KEY=")
	})
	st.env = append(st.env, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+st.server.CredentialsURL())
	current := issue(1)
	var copies atomic.Int32
	st.server.SetLatency(map[string]time.Duration{"CopyObject": 50 * time.Millisecond}) // longer than a lease
	st.server.OnReply(func(r s3test.Request) {
		if r.Op != "CopyObject" || r.Bucket != "b" {
			return
		}
		switch copies.Add(1) {
		case 200:
			st.server.ExpireCredentials(current)
			current = issue(2)
		case 600:
			st.server.RemoveCredentials(current)
			time.AfterFunc(5*time.Second, func() { issue(3) })
		}
	})
	cmd, said := st.elsewhere(t, st.order()...), new(strings.Builder)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(90*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "the place of the job's state does not answer as it should") {
		t.Errorf("%v\n%s", err, said)
	}
	st.checkOnce(t)
}
