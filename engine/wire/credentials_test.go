package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func TestCredentials(t *testing.T) {
	now := signedAt
	var mu sync.Mutex
	calls, fail := 0, error(nil)
	life := time.Hour
	k := keyCache{region: "us-east-1", service: "s3", fetch: func(context.Context) (Credentials, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return Credentials{AccessKeyID: fmt.Sprint("id", calls), SecretAccessKey: "s", Expires: now.Add(life)}, fail
	}}
	get := func() *signingKey {
		t.Helper()
		key, err := k.get(context.Background(), now)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := get()
	now = now.Add(54 * time.Minute)
	if get() != first || calls != 1 {
		t.Error("fetched again long before the expiry")
	}
	now = now.Add(2 * time.Minute)
	second := get()
	if second == first || calls != 2 {
		t.Error("not fetched early")
	}
	// An early renewal that fails leaves the old key in use and is not tried at once.
	now, fail = now.Add(56*time.Minute), errors.New("no")
	if get() != second || calls != 3 {
		t.Errorf("an early renewal that failed, %d calls", calls)
	}
	if get() != second || calls != 3 {
		t.Errorf("tried again at once, %d calls", calls)
	}
	now = now.Add(4 * time.Minute)
	if _, err := k.get(context.Background(), now); err == nil {
		t.Error("a key that is about to expire was given out")
	}
	fail = nil
	third := get()
	k.drop(third)
	if get() == third {
		t.Error("a dropped key was given out")
	}
	k.drop(third) // an old one: nothing happens
	n := calls
	get()
	if calls != n {
		t.Error("dropping an old key dropped the new one")
	}
	// At midnight UTC the key changes, the credentials do not.
	life = 48 * time.Hour
	k.drop(get())
	before := get()
	n = calls
	now = now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	if after := get(); after == before || after.creds != before.creds || calls != n {
		t.Error("the next day's key is not made from the same credentials")
	}
}

func TestARefusedKeyIsFetchedAgain(t *testing.T) {
	s := serve(t, answers(func(*http.Request) string {
		return "HTTP/1.1 400 Bad Request\r\nContent-Length: 40\r\n\r\n<Error><Code>ExpiredToken</Code></Error>"
	}))
	calls := 0
	c := open(t, s, func(o *Options) {
		o.Credentials = func(context.Context) (Credentials, error) { calls++; return testCredentials("t"), nil }
	})
	for range 3 {
		if _, err := c.Copy(context.Background(), someCopy); object.ClassOf(err) != object.ClassCredentials {
			t.Fatal(err)
		}
	}
	if calls != 3 {
		t.Errorf("credentials fetched %d times", calls)
	}
}

func TestNoCredentials(t *testing.T) {
	s := serve(t, answers(canned))
	c := open(t, s, func(o *Options) {
		o.Credentials = func(context.Context) (Credentials, error) { return Credentials{}, nil }
	})
	_, err := c.Copy(context.Background(), someCopy)
	if e := asError(t, err); e.Class != object.ClassCredentials || !e.NotSent {
		t.Errorf("got %+v", e)
	}
}
