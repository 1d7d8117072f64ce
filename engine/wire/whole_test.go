package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

const putReply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"new\"\r\nx-amz-version-id: v2\r\nx-amz-request-id: id\r\n" +
	"x-amz-server-side-encryption: aws:kms\r\nx-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:k\r\nx-amz-checksum-crc32: sum=\r\nx-amz-checksum-type: FULL_OBJECT\r\n\r\n"

func getReply(body string, more ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: %d\r\n%s\r\n%s", len(body), strings.Join(more, ""), body)
}

// put sends a PUT of body as an ordinary rewrite would.
func put(body []byte) *object.PutRequest {
	return &object.PutRequest{CopyRequest: object.CopyRequest{Dest: someRef, DestETag: "old", Target: &object.Target{SSE: object.SSES3},
		Attributes: &object.Attributes{ContentType: "a/b", Expires: "never", Metadata: map[string]string{"m": "v"}, Tags: []object.Tag{{Key: "a b", Value: "c&d"}}},
		LockMode:   "GOVERNANCE", RetainUntil: "2027-01-01T00:00:00.000Z", LegalHold: true, WebsiteRedirect: "/x", StorageClass: "STANDARD_IA"}, Body: body}
}

// bodies are of all sizes that take another way: none, behind the header, after it.
func bodies() [][]byte {
	var all [][]byte
	for _, n := range []int{0, 1, oneWrite, oneWrite + 1, 3 << 20} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * 7 / 3)
		}
		all = append(all, b)
	}
	return all
}

// TestGetAndPutShareAConnection sends every byte there and back.
func TestGetAndPutShareAConnection(t *testing.T) {
	var got *http.Request
	var held []byte
	s := serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(req.Body)
			if req.Method == "GET" {
				io.WriteString(c, getReply(string(held), "x-amz-meta-m: v\r\n"))
				continue
			}
			got, held = req, body
			io.WriteString(c, putReply)
		}
	})
	c := open(t, s, nil)
	ctx := context.Background()
	into := make([]byte, 0, 100)
	for _, body := range bodies() {
		rep, err := c.Put(ctx, put(body))
		if err != nil {
			t.Fatal(err)
		}
		want := object.CopyReply{ETag: "new", VersionID: "v2", RequestID: "id", Checksum: "sum=",
			Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:k"}}
		if rep != want {
			t.Errorf("%d bytes: reply %+v", len(body), rep)
		}
		sum, md := sha256.Sum256(body), md5.Sum(body)
		for name, want := range map[string]string{"If-Match": `"old"`, "X-Amz-Content-Sha256": hex.EncodeToString(sum[:]),
			"Content-Md5": base64.StdEncoding.EncodeToString(md[:]), "X-Amz-Tagging": "a%20b=c%26d", "X-Amz-Meta-M": "v", "Expires": "never",
			"X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Legal-Hold": "ON", "X-Amz-Storage-Class": "STANDARD_IA",
			"X-Amz-Metadata-Directive": "", "X-Amz-Copy-Source": "", "X-Amz-Checksum-Algorithm": ""} {
			if v := got.Header.Get(name); v != want {
				t.Errorf("%d bytes: %s is %q, want %q", len(body), name, v, want)
			}
		}
		back, err := c.Get(ctx, &object.GetRequest{Ref: someRef, ETag: "e", Max: 3 << 20, Into: into})
		if err != nil || !bytes.Equal(back.Body, body) || back.Size != int64(len(body)) || back.Metadata["m"] != "v" {
			t.Errorf("%d bytes: read %d, %v", len(body), len(back.Body), err)
		}
		if len(body) == 1 && &back.Body[0] != &into[:1][0] {
			t.Error("the bytes do not lie in Into")
		}
	}
	if conns, _ := s.seen(); conns != 1 {
		t.Errorf("%d connections", conns)
	}
}

// TestGetReplies: what is no whole object brings no bytes.
func TestGetReplies(t *testing.T) {
	xml := "<Error><Code>SlowDown</Code></Error>"
	for name, tc := range map[string]struct {
		reply string
		want  object.Class // with an error
		body  string
	}{
		"whole":                       {reply: getReply("bytes"), body: "bytes"},
		"bytes that look like errors": {reply: getReply(xml), body: xml},
		"larger than is taken":        {reply: getReply(strings.Repeat("x", 101)), want: object.ClassTooLarge},
		"huge, and not sent":          {reply: "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 4611686018427387903\r\n\r\n", want: object.ClassTooLarge},
		"cut":                         {reply: "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 9\r\n\r\nbytes", want: object.ClassTransient},
		"chunked":                     {reply: "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbytes\r\n0\r\n\r\n", want: object.ClassUnsupported},
		"to the end":                  {reply: "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n\r\nbytes", want: object.ClassUnsupported},
		"a part":                      {reply: "HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nContent-Length: 5\r\n\r\nbytes", want: object.ClassTransient},
		"no ETag":                     {reply: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes", want: object.ClassTransient},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, serve(t, closeAfter(0, tc.reply)), nil)
			got, err := c.Get(context.Background(), &object.GetRequest{Ref: someRef, Max: 100})
			if tc.want == object.ClassOther {
				if err != nil || string(got.Body) != tc.body {
					t.Errorf("read %q, %v", got.Body, err)
				}
				return
			}
			if e := asError(t, err); e.Class != tc.want || got.Body != nil {
				t.Errorf("%v with %d bytes", e, len(got.Body))
			}
			if tc.want == object.ClassTooLarge && (got.ETag != "e" || got.Size < 101) {
				t.Errorf("the head is lost: %+v", got.Head)
			}
		})
	}
}

// TestAPutIsNeverRepeated, and an empty success is none.
func TestAPutIsNeverRepeated(t *testing.T) {
	for name, reply := range map[string]string{"no answer": "", "no ETag": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
				io.WriteString(c, canned(s.read(r)))
				s.read(r)
				io.WriteString(c, reply)
			})
			c := open(t, s, nil)
			ctx := context.Background()
			if _, err := c.Head(ctx, someRef, object.CustomerKey{}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Put(ctx, put([]byte("bytes"))); !object.MaybeApplied(err) {
				t.Errorf("%v", err)
			}
			if _, requests := s.seen(); requests != 2 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

// TestARefusalBeforeTheLastByte: a store that refuses by the header need not take
// the bytes.
func TestARefusalBeforeTheLastByte(t *testing.T) {
	s := serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		c.(*net.TCPConn).CloseWrite()
		time.Sleep(50 * time.Millisecond) // so that the refusal is there before the reset
	})
	c := open(t, s, nil)
	_, err := c.Put(context.Background(), put(make([]byte, 32<<20)))
	if e := asError(t, err); e.HTTPStatus != http.StatusPreconditionFailed {
		t.Errorf("%+v", e)
	}
}

// TestAStoreThatTakesNothing is given up when the caller says so.
func TestAStoreThatTakesNothing(t *testing.T) {
	held, taken := make(chan struct{}), make(chan struct{}, 9)
	s := serve(t, func(_ *store, _ int, _ net.Conn, r *bufio.Reader) {
		if _, err := r.Peek(1); err == nil {
			taken <- struct{}{}
		}
		<-held
	})
	defer close(held)
	c := open(t, s, nil)
	for name, ctx := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 3*time.Second) // hashing the bytes is done by then
		},
		"cancelled": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			for len(taken) > 0 {
				<-taken
			}
			go func() {
				<-taken
				time.Sleep(100 * time.Millisecond)
				cancel()
			}()
			return ctx, cancel
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := ctx()
			defer cancel()
			if _, err := c.Put(ctx, put(make([]byte, 32<<20))); !object.MaybeApplied(err) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestM11AskedWithoutTheHeader: a HEAD or GET that is refused for its question
// about checksums is asked once more without, and says so.
func TestM11AskedWithoutTheHeader(t *testing.T) {
	refusal := func(status int, code string) string {
		return fmt.Sprintf("HTTP/1.1 %d No\r\nContent-Length: 0\r\nx-test-code: %s\r\n\r\n", status, code)
	}
	for name, tc := range map[string]struct {
		status  int
		always  bool // refused in either way
		asked   int
		succeed bool
	}{
		"400 for the header":  {status: 400, asked: 2, succeed: true},
		"403 for want of key": {status: 403, asked: 2, succeed: true},
		"403 in any case":     {status: 403, always: true, asked: 2},
		"404":                 {status: 404, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, answers(func(r *http.Request) string {
				if tc.always || r.Header.Get("X-Amz-Checksum-Mode") != "" {
					return refusal(tc.status, "")
				}
				return getReply(map[string]string{"GET": "bytes"}[r.Method])
			}))
			c := open(t, s, nil)
			h, err := c.Head(context.Background(), someRef, object.CustomerKey{})
			if (err == nil) != tc.succeed || tc.succeed && !h.ChecksumsUntold {
				t.Errorf("%v, untold %v", err, h.ChecksumsUntold)
			}
			if _, n := s.seen(); n != tc.asked {
				t.Errorf("%d requests", n)
			}
			g, err := c.Get(context.Background(), &object.GetRequest{Ref: someRef, Max: 9})
			if (err == nil) != tc.succeed || tc.succeed && (!g.ChecksumsUntold || string(g.Body) != "bytes") {
				t.Errorf("%v, %+v", err, g)
			}
		})
	}
}
