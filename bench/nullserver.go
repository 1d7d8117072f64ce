package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// The null server answers like an S3 whose every object is the same and whose
// every request costs as little as a process can spend on it, so that what is
// left to measure is the client. It keeps nothing: bucket nN holds N objects of
// 1 KiB, o/000000000 and so on; a HEAD says that they are not encrypted, a copy
// that it was done. Bucket wN is the same, but that a HEAD says SSE-S3: its objects
// are as wanted already. Bucket lN is a legacy one, whose objects have ACLs. The objects of bucket pN lie in prefixes
// of their own: see nullNames. It checks no signature.
//
// Everything else, such as a canary, goes to an embedded S3 that does keep things.
//
// Under /-far it becomes a store that is far away, limited or ill, until that is asked
// for without a setting: see nullFar.
type nullServer struct {
	counts nullCounts
	others *s3test.Server
	far    atomic.Pointer[nullFar]
	// copyKMS is the reply to a copy under nullKMSKey.
	copyKMS []byte
}

// nullCounts is what the server was asked for.
type nullCounts struct {
	List, Head, Copy, Detail, Other atomic.Int64
	// BytesIn and BytesOut are of requests and replies, headers and all.
	BytesIn, BytesOut atomic.Int64
	Conns             atomic.Int64
	// marked is set by /-mark and cleared by the next request for an object, whose
	// time first is.
	marked atomic.Bool
	first  atomic.Int64
}

// NullStats is nullCounts in JSON, with what the server itself has spent.
type NullStats struct {
	List, Head, Copy, Detail, Other int64
	BytesIn, BytesOut, Conns        int64
	CPUMicroseconds                 int64
	// FirstAfterMark is the Unix time, in nanoseconds, of the first request for an
	// object since /-mark; 0 while there is none.
	FirstAfterMark int64
}

// runNullServer serves until standard input ends; it prints its address first. With
// a folder it serves TLS at a second address, prints that as well, and leaves the
// certificate to trust there.
func runNullServer(args []string, stdin io.Reader, stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	listeners, addrs := []net.Listener{l}, []any{l.Addr()}
	if len(args) > 0 {
		secure, err := listenTLS(args[0])
		if err != nil {
			return err
		}
		listeners, addrs = append(listeners, secure), append(addrs, secure.Addr())
	}
	others, err := s3test.Start(s3test.Config{NoAuth: true, NoLog: true})
	if err != nil {
		return err
	}
	defer others.Close()
	fmt.Fprintln(stdout, addrs...)
	s := &nullServer{others: others, copyKMS: nullCopyReply("aws:kms\r\n" + "x-amz-server-side-encryption-aws-kms-key-id: " +
		others.KMS.CreateNamedKey(nullKMSKey))}
	go func() {
		io.Copy(io.Discard, stdin)
		for _, l := range listeners {
			l.Close()
		}
	}()
	var all sync.WaitGroup
	for _, l := range listeners {
		all.Go(func() { s.accept(l) })
	}
	all.Wait()
	return nil
}

func (s *nullServer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.counts.Conns.Add(1)
		go s.serve(c)
	}
}

const nullETag = "9b2cf535f27731c974343645a3985328"

var (
	nullHead = []byte("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nETag: \"" + nullETag + "\"\r\nLast-Modified: Mon, 23 Nov 2026 19:10:05 GMT\r\n" +
		"Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\nServer: null\r\nx-amz-request-id: 17D6B4A1C2E3F405\r\n\r\n")
	wantedHead = append(bytes.TrimSuffix(nullHead, []byte("\r\n")), "x-amz-server-side-encryption: AES256\r\n\r\n"...)
	nullCopy   = nullCopyReply("AES256")
)

// nullKMSKey is the one KMS key.
const nullKMSKey = "bbbbbbbb-0000-4000-8000-0000000000ff"

func nullCopyReply(sse string) []byte {
	return nullReply("200 OK", "x-amz-server-side-encryption: "+sse+"\r\n",
		`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`+
			`<LastModified>2026-11-23T19:10:05.000Z</LastModified><ETag>&quot;`+nullETag+`&quot;</ETag></CopyObjectResult>`)
}

func nullReply(status, header, body string) []byte {
	return []byte("HTTP/1.1 " + status + "\r\nContent-Type: application/xml\r\nServer: null\r\nx-amz-request-id: 17D6B4A1C2E3F405\r\n" +
		header + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

var (
	headerEnd  = []byte("\r\n\r\n")
	copySource = []byte("\r\nx-amz-copy-source: ")
	underKMS   = []byte("\r\nx-amz-server-side-encryption: aws:kms\r\n")
)

// serve answers one connection's requests, one after the other.
func (s *nullServer) serve(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for n := 0; ; {
		end := bytes.Index(buf[:n], headerEnd)
		if end < 0 {
			m, err := c.Read(buf[n:])
			if err != nil || n+m == len(buf) {
				return
			}
			n += m
			continue
		}
		end += len(headerEnd)
		s.counts.BytesIn.Add(int64(end))
		reply := s.answer(buf[:end])
		if reply == nil {
			rest, err := s.forward(c, buf[:n])
			if err != nil {
				return
			}
			n = copy(buf, rest)
			continue
		}
		if far := s.far.Load(); far != nil {
			reply = far.answer(buf[:end], reply)
		}
		n = copy(buf, buf[end:n])
		if _, err := c.Write(reply); err != nil {
			return
		}
		s.counts.BytesOut.Add(int64(len(reply)))
	}
}

// answer gives the reply to a request for one of the objects, nil for others.
func (s *nullServer) answer(head []byte) []byte {
	method, rest, _ := bytes.Cut(head, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case string(method) == "GET":
		if sub, is := nullDetail(target); is {
			s.counts.Detail.Add(1)
			return sub
		}
		return s.get(string(target))
	case !isNullObject(target):
		return nil
	case s.counts.marked.Load() && s.counts.marked.CompareAndSwap(true, false):
		s.counts.first.Store(time.Now().UnixNano())
		return s.answer(head)
	case string(method) == "HEAD":
		s.counts.Head.Add(1)
		if target[1] == 'w' {
			return wantedHead
		}
		return nullHead
	case string(method) == "PUT" && indexFold(head, copySource) >= 0:
		s.counts.Copy.Add(1)
		if indexFold(head, underKMS) >= 0 {
			return s.copyKMS
		}
		return nullCopy
	}
	return nil
}

// indexFold finds a header line whatever its case.
func indexFold(head, line []byte) int {
	for i := 0; ; i++ {
		j := bytes.IndexByte(head[i:], '\r')
		if j < 0 || i+j+len(line) > len(head) {
			return -1
		}
		i += j
		if bytes.EqualFold(head[i:i+len(line)], line) {
			return i
		}
	}
}

// forward gives a request, which data begins with, to the embedded S3, and tells
// what came behind it on the connection. Canaries and questions about the bucket
// end there; there are a handful of them in a run.
func (s *nullServer) forward(c net.Conn, data []byte) (rest []byte, err error) {
	s.counts.Other.Add(1)
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(data), c))
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, err
	}
	bucket, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	if isNullBucket(bucket) && !s.others.HasBucket(bucket) {
		cfg := s3test.BucketConfig{}
		if bucket[0] == 'l' {
			cfg.Ownership = "ObjectWriter"
		}
		s.others.CreateBucket(bucket, cfg)
	}
	if req.Header.Get("Expect") != "" {
		req.Header.Del("Expect")
		if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return nil, err
		}
	}
	req.RequestURI, req.URL.Scheme, req.URL.Host = "", "http", s.others.Addr()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := resp.Write(c); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	rest, err = r.Peek(r.Buffered())
	return rest, err
}

func (s *nullServer) stats() []byte {
	n := &s.counts
	data, err := json.Marshal(NullStats{List: n.List.Load(), Head: n.Head.Load(), Copy: n.Copy.Load(), Detail: n.Detail.Load(), Other: n.Other.Load(),
		BytesIn: n.BytesIn.Load(), BytesOut: n.BytesOut.Load(), Conns: n.Conns.Load(), CPUMicroseconds: ownCPU().Microseconds(), FirstAfterMark: n.first.Load()})
	if err != nil {
		return nil
	}
	return nullReply("200 OK", "", string(data))
}
