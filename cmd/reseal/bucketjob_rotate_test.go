package main

import (
	"strings"
	"sync"
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
	issue := st.fetchesCredentials()
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
		}
	})
	const told = "the place of the job's state does not answer as it should"
	cmd, said := st.elsewhere(t, st.order()...), &untilTold{text: told, then: func() { issue(3) }}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(90*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), told) {
		t.Errorf("%v\n%s", err, said)
	}
	st.checkOnce(t)
}

// untilTold keeps what a process says, and calls then once it has said the text.
type untilTold struct {
	strings.Builder
	text string
	then func()
	once sync.Once
}

func (u *untilTold) Write(p []byte) (int, error) {
	n, err := u.Builder.Write(p)
	if strings.Contains(u.String(), u.text) {
		u.once.Do(u.then)
	}
	return n, err
}
