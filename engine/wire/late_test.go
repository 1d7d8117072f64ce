package wire

import (
	"context"
	"errors"
	"net"
	"net/url"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// looked knows whether an object was looked at too long ago.
type looked struct{ late bool }

func (l *looked) Late() bool { return l.late }

// TestNothingIsSentLate: an object was looked at, and then the credentials took their time. What
// changes it is not sent; what asks about it is.
func TestNothingIsSentLate(t *testing.T) {
	resolve, err := PathStyle("http://127.0.0.1:1", "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	l := &looked{}
	dialed := errors.New("dialed")
	c, err := New(Options{Resolve: resolve, Classify: classified, Proxy: func(*url.URL) (*url.URL, error) { return nil, nil },
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, dialed },
		Credentials: func(context.Context) (Credentials, error) {
			l.late = true
			return testCredentials(""), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.WithValue(t.Context(), object.LateKey{}, l)
	_, err = c.Copy(ctx, someCopy)
	if e, ok := errors.AsType[*object.Error](err); !ok || errors.Is(err, dialed) || !e.NotSent || e.Class != object.ClassTransient {
		t.Errorf("a copy: %v", err)
	}
	if _, err := c.Head(ctx, someCopy.Source, object.CustomerKey{}); !errors.Is(err, dialed) {
		t.Errorf("a question: %v", err)
	}
	l.late = false
	if _, err := c.Copy(ctx, someCopy); !errors.Is(err, dialed) {
		t.Errorf("a copy in time: %v", err)
	}
}
