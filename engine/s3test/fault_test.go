package s3test_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// Each effect: what the client sees, and whether the store changed.
func TestEffects(t *testing.T) {
	for _, c := range []struct {
		effect  string
		status  int // 0: no reply came
		code    string
		applied bool
	}{
		{"Failed", 500, "InternalError", false},
		{"(Applied Failed)", 500, "InternalError", true},
		{"ReplyLost", 0, "", true},
		{"(Unapplied ReplyLost)", 0, "", false},
		{"Throttled", 503, "SlowDown", false},
		{"(Throttled 2)", 503, "SlowDown", false},
		{"KMSThrottled", 503, "SlowDown", false},
		{"Stalled", 0, "", false},
		{"(Applied Stalled)", 0, "", true},
		{"Truncated", 0, "", true},
		{"(Unapplied Truncated)", 0, "", false},
		{"EmptyBody", 200, "", true},
		{"(Unapplied EmptyBody)", 200, "", false},
		{"ErrorIn200", 500, "InternalError", false}, // the SDK makes it a 500
		{"(Applied (ErrorIn200 SlowDown \"later\"))", 500, "SlowDown", true},
		{"ExpiredToken", 400, "ExpiredToken", false},
		{"KMSDisabled", 400, "KMS.DisabledException", false},
		{`(Error 409 ConditionalRequestConflict "race")`, 409, "ConditionalRequestConflict", false},
		{"(Delay 1)", 200, "", true},
		{"(Page 503)", 503, "ServiceUnavailable", false}, // as the SDK calls it
	} {
		s := start(t, s3test.Config{Rules: "(If (And Copy (OnIndex 1)) " + c.effect + ")"})
		s.CreateBucket("b", s3test.BucketConfig{})
		for i := range 3 {
			key := fmt.Sprint(i)
			s.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("x")})
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if i == 1 && strings.Contains(c.effect, "Stalled") {
				s.OnRequest(func(s3test.Request) { time.AfterFunc(50*time.Millisecond, cancel) })
			}
			out, err := client(t, s).CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("b"), Key: &key, CopySource: &[]string{"b/" + key}[0], ServerSideEncryption: "AES256"})
			cancel()
			o, _ := s.Get("b", key, "")
			done := o.Encryption.Type == object.SSES3
			if i != 1 {
				if err != nil || !done || out.CopyObjectResult == nil {
					t.Errorf("%s: request %d was touched: %v", c.effect, i, err)
				}
				continue
			}
			got := code(err)
			if status(err) == 0 {
				got = ""
			}
			if strings.Contains(c.effect, "Truncated") {
				if err == nil || done != c.applied {
					t.Errorf("%s: applied %t, error %v", c.effect, done, err)
				}
				continue
			}
			if status(err) != c.status || got != c.code || done != c.applied {
				t.Errorf("%s: status %d code %q applied %t (%v)", c.effect, status(err), got, done, err)
			}
			if strings.Contains(c.effect, "EmptyBody") && out.CopyObjectResult != nil {
				t.Errorf("%s: the body was not empty", c.effect)
			}
		}
		if r := s.Requests("Copy"); len(r) != 3 || s.Count("Copy") != 3 || r[0].Fault != "" || len(s.FaultHits()) != 1 {
			t.Errorf("%s: log of %d requests, hits %v", c.effect, len(r), s.FaultHits())
		}
	}
}

// hits runs keys × rounds of HEAD and tells which requests a rule met.
func hits(t *testing.T, rule string, keys, rounds int, reverse bool) []string {
	t.Helper()
	s := start(t, s3test.Config{Rules: rule})
	s.CreateBucket("b", s3test.BucketConfig{})
	c := client(t, s)
	got := map[string]bool{}
	for r := range rounds {
		for k := range keys {
			if reverse {
				k = keys - 1 - k
			}
			key := fmt.Sprintf("d/%d", k)
			if r == 0 {
				s.Put("b", s3test.Object{Key: key})
			}
			if _, err := c.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: aws.String("b"), Key: &key}); err != nil {
				got[fmt.Sprintf("%d.%d", k, r)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(got))
}

func TestConditions(t *testing.T) {
	for _, c := range []struct{ cond, want string }{
		{"Head", "0.0 0.1 1.0 1.1 2.0 2.1"},
		{"Copy", ""},
		{"(And Head (First 2))", "0.0 1.0"},
		{"(And Head (From 4))", "1.1 2.1"},
		{"(And Head (Every 3))", "2.0 2.1"},
		{`(Key "*1")`, "1.0 1.1"},
		{`(And (Key "d/*") (Not (Key "*1")) (First 1))`, "0.0"},
		{`(Or (Key "*0") (And (Key "*2") (OnIndex 1)))`, "0.0 0.1 2.1"},
		{"(PerKey (First 1))", "0.0 1.0 2.0"},
		{`(Bucket "c*")`, ""},
		{"Mutation", ""},
		{"(And Read Any (OnIndex 5))", "2.1"},
		{"(Random 0 1)", ""},
		{"(Random 1 1)", "0.0 0.1 1.0 1.1 2.0 2.1"},
	} {
		if got := strings.Join(hits(t, "(If "+c.cond+" Failed)", 3, 2, false), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.cond, got, c.want)
		}
	}
	seed := func(n int, reverse bool) string {
		return strings.Join(hits(t, fmt.Sprintf("(If (Random 0.5 %d) Failed)", n), 20, 3, reverse), " ")
	}
	if a := seed(1, false); a != seed(1, true) || a == seed(2, false) || len(a) == 0 {
		t.Error("a seed must give the same faults in any order, another seed others")
	}
}

func TestKillPauseRestart(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	c := client(t, s)
	head := func(ctx context.Context) error {
		_, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
		return err
	}
	ctx := context.Background()
	s.Kill()
	if err := head(ctx); err == nil {
		t.Error("a killed server answered")
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := head(ctx); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	s.Pause()
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := head(short); err == nil {
		t.Error("a paused server answered")
	}
	s.Resume()
	if err := head(ctx); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

// A test can act before the effect, between effect and reply, and after.
func TestHooks(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	var saw []string
	note := func(when string) func(s3test.Request) {
		return func(r s3test.Request) {
			o, _ := s.Get("b", "k", "")
			saw = append(saw, fmt.Sprint(when, " ", r.Op, " ", r.Applied, " ", o.Encryption.Type))
		}
	}
	done := make(chan struct{})
	after := note("after")
	s.OnRequest(note("before"))
	s.OnEffect(note("between"))
	s.OnReply(func(r s3test.Request) { after(r); close(done) })
	perfectCopy(t, s)
	<-done
	want := "before CopyObject false none, between CopyObject true sse-s3, after CopyObject true sse-s3"
	if got := strings.Join(saw, ", "); got != want {
		t.Errorf("saw %s", got)
	}
}

func perfectCopy(t *testing.T, s *s3test.Server) {
	t.Helper()
	must[*s3.CopyObjectOutput](t)(client(t, s).CopyObject(context.Background(), &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"),
		CopySource: aws.String("b/k"), ServerSideEncryption: "AES256"}))
}
