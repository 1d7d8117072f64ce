package wire

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// looked knows whether an object was looked at too long ago.
type looked struct{ late bool }

func (l *looked) Late() bool { return l.late }

// TestNothingIsSentLate: an object was looked at, and then the credentials or the connection took
// their time. What changes it is not sent; what asks about it is.
func TestNothingIsSentLate(t *testing.T) {
	for _, slow := range []string{"credentials", "connection"} {
		t.Run(slow, func(t *testing.T) {
			srv := serve(t, answers(canned))
			l := &looked{}
			c := open(t, srv, func(o *Options) {
				o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					l.late = l.late || slow == "connection"
					return new(net.Dialer).DialContext(ctx, network, addr)
				}
				o.Credentials = func(context.Context) (Credentials, error) {
					l.late = l.late || slow == "credentials"
					return testCredentials(""), nil
				}
			})
			ctx := context.WithValue(t.Context(), object.LateKey{}, l)
			_, err := c.Copy(ctx, someCopy)
			if e, ok := errors.AsType[*object.Error](err); !ok || !e.NotSent || e.Class != object.ClassTransient {
				t.Errorf("a copy: %v", err)
			}
			if _, sent := srv.seen(); sent != 0 {
				t.Errorf("%d requests were sent", sent)
			}
			if _, err := c.Head(ctx, someCopy.Source, object.CustomerKey{}); err != nil {
				t.Errorf("a question: %v", err)
			}
			l.late = false
			if _, err := c.Copy(ctx, someCopy); err != nil {
				t.Errorf("a copy in time: %v", err)
			}
		})
	}
}
