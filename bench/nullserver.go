package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
// are as wanted already. Bucket lN is a legacy one, whose objects have ACLs. It checks no signature.
//
// Everything else, such as a canary, goes to an embedded S3 that does keep things.
//
// Under /-far it becomes a store that is far away and limited, until that is asked
// for without numbers: see nullFar.
type nullServer struct {
	counts nullCounts
	others *s3test.Server
	far    atomic.Pointer[nullFar]
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
	s := &nullServer{others: others}
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
	nullCopy   = nullReply("200 OK", "x-amz-server-side-encryption: AES256\r\n",
		`<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`+
			`<LastModified>2026-11-23T19:10:05.000Z</LastModified><ETag>&quot;`+nullETag+`&quot;</ETag></CopyObjectResult>`)
)

func nullReply(status, header, body string) []byte {
	return []byte("HTTP/1.1 " + status + "\r\nContent-Type: application/xml\r\nServer: null\r\nx-amz-request-id: 17D6B4A1C2E3F405\r\n" +
		header + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

var (
	headerEnd  = []byte("\r\n\r\n")
	copySource = []byte("\r\nx-amz-copy-source: ")
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
		return nullCopy
	}
	return nil
}

// isNullObject knows /nN/o/012345678, with no query but the SDKs' own label.
func isNullObject(target []byte) bool {
	target, _, _ = bytes.Cut(target, []byte("?x-id="))
	i := bytes.Index(target, []byte("/"+nullPrefix))
	return i > 0 && len(target) == i+1+len(nullPrefix)+9 && target[len(target)-9] >= '0' && target[len(target)-9] <= '9'
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

func isNullBucket(name string) bool {
	if name == "" || name[0] != 'n' && name[0] != 'w' && name[0] != 'l' {
		return false
	}
	_, err := strconv.ParseUint(name[1:], 10, 40)
	return err == nil
}

func (s *nullServer) get(target string) []byte {
	path, rawQuery, _ := strings.Cut(target, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path == "/-stats":
		return s.stats()
	case path == "/-far":
		return s.setFar(query)
	case path == "/-mark":
		s.counts.first.Store(0)
		s.counts.marked.Store(true)
		return s.stats()
	case key != "" || !isNullBucket(bucket) || !isListing(query):
		return nil
	}
	s.counts.List.Add(1)
	count, _ := strconv.Atoi(bucket[1:])
	return nullPage(bucket, count, query)
}

// isListing tells a listing from the questions about a bucket's settings.
func isListing(query url.Values) bool {
	for name := range query {
		switch name {
		case "list-type", "prefix", "delimiter", "max-keys", "start-after", "continuation-token", "marker", "encoding-type",
			"fetch-owner", "metadata", "allow-unordered":
		default:
			return false
		}
	}
	return !strings.Contains(query.Get("prefix"), ".reseal") // a canary's
}

const nullPrefix = "o/"

func nullKey(i int) string { return fmt.Sprintf("%s%09d", nullPrefix, i) }

// nullIndex is the first object whose key is greater than after.
func nullIndex(after string, count int) int {
	lo, hi := 0, count
	for lo < hi {
		mid := (lo + hi) / 2
		if nullKey(mid) > after {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// nullPage is one page of a listing, of either version.
func nullPage(bucket string, count int, query url.Values) []byte {
	prefix, v2 := query.Get("prefix"), query.Get("list-type") == "2"
	most, err := strconv.Atoi(query.Get("max-keys"))
	if err != nil || most > 1000 {
		most = 1000
	}
	after := max(query.Get("start-after"), query.Get("marker"), query.Get("continuation-token"))
	b := make([]byte, 0, 200*most+500)
	b = append(b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>`...)
	b = append(b, bucket...)
	b = append(b, "</Name><Prefix>"...)
	b = append(b, prefix...)
	b = append(b, "</Prefix><MaxKeys>"...)
	b = strconv.AppendInt(b, int64(most), 10)
	b = append(b, "</MaxKeys>"...)
	if query.Get("encoding-type") == "url" {
		b = append(b, "<EncodingType>url</EncodingType>"...)
	}
	i, n := nullIndex(after, count), 0
	if prefix > after && prefix != "" {
		i = max(i, nullIndex(prefix[:len(prefix)-1]+string(prefix[len(prefix)-1]-1)+"\xff", count))
	}
	if query.Get("delimiter") == "/" && strings.HasPrefix(nullPrefix, prefix) && prefix != nullPrefix {
		if i < count && after < nullPrefix {
			b = append(b, "<CommonPrefixes><Prefix>"+nullPrefix+"</Prefix></CommonPrefixes>"...)
			n++
		}
		i = count
	}
	last := ""
	for ; i < count && n < most; i, n = i+1, n+1 {
		key := nullKey(i)
		if !strings.HasPrefix(key, prefix) {
			i = count
			break
		}
		last = key
		b = append(b, "<Contents><Key>"...)
		b = append(b, key...)
		b = append(b, "</Key><LastModified>2026-11-23T19:10:05.000Z</LastModified><ETag>&quot;"+nullETag+
			"&quot;</ETag><Size>1024</Size><StorageClass>STANDARD</StorageClass></Contents>"...)
	}
	more := i < count && strings.HasPrefix(nullKey(i), prefix)
	if v2 {
		b = append(b, "<KeyCount>"...)
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, "</KeyCount>"...)
		if more {
			b = append(b, "<NextContinuationToken>"+last+"</NextContinuationToken>"...)
		}
	} else if more {
		b = append(b, "<NextMarker>"+last+"</NextMarker>"...)
	}
	b = append(b, "<IsTruncated>"...)
	b = strconv.AppendBool(b, more)
	b = append(b, "</IsTruncated></ListBucketResult>"...)
	return nullReply("200 OK", "", string(b))
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
