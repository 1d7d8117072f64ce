package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	// maxHeader bounds a reply's header, maxBody its body. The longest reply that
	// the hot requests have is an error of a few KiB; of one that is longer only
	// maxFailure are taken, since its status is an answer by itself.
	maxHeader  = 256 << 10
	maxBody    = 1 << 20
	maxFailure = 64 << 10
	// keepBuffer is the largest buffer that a connection keeps between replies.
	keepBuffer = 64 << 10
)

var (
	errMalformed = errors.New("the reply is not HTTP/1.1")
	errTooLong   = errors.New("the reply is longer than any that S3 gives")
)

// replyField is one header line of a reply: the name in lower case.
type replyField struct{ name, value []byte }

// reply is what was read. Its slices are valid until the connection's next
// exchange.
type reply struct {
	status int
	fields []replyField
	body   []byte
	// reusable: the next request may go over the same connection.
	reusable bool
	chunked  bool
	length   int64 // -1: not told
	minor    byte  // HTTP/1.x
}

// readReply reads one whole reply, skipping 1xx ones.
func (k *conn) readReply(method string) (*reply, error) {
	r := &k.reply
	for r.status = 100; r.status < 200; {
		if err := k.readHeader(r); err != nil {
			return nil, err
		}
		if r.status == http.StatusSwitchingProtocols {
			return nil, errMalformed
		}
	}
	if err := k.readBody(r, method); err != nil {
		return nil, err
	}
	if k.r != k.w {
		r.reusable = false // bytes that nobody asked for
	}
	return r, nil
}

// readHeader reads up to and including the empty line and parses in place.
func (k *conn) readHeader(r *reply) error {
	r.status, r.fields, r.body = 0, r.fields[:0], nil
	k.compact()
	scanned := k.r
	for {
		if i := bytes.Index(k.buf[scanned:k.w], crlfcrlf); i >= 0 {
			head := k.buf[k.r : scanned+i+2]
			k.r = scanned + i + 4
			return r.parse(head)
		}
		scanned = max(k.r, k.w-3)
		if k.w-k.r > maxHeader {
			return errTooLong
		}
		if err := k.fill(); err != nil {
			return err
		}
	}
}

var crlfcrlf = []byte("\r\n\r\n")

// parse takes the header block, every line of it ended by CRLF.
func (r *reply) parse(head []byte) error {
	line, rest, _ := bytes.Cut(head, crlfcrlf[:2])
	// HTTP/1.x SSS reason
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || (len(line) > 12 && line[12] != ' ') {
		return errMalformed
	}
	r.minor = line[7]
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return errMalformed
		}
		r.status = r.status*10 + int(c-'0')
	}
	if r.status < 100 || (r.minor != '0' && r.minor != '1') {
		return errMalformed
	}
	r.reusable, r.chunked, r.length = r.minor == '1', false, -1
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, crlfcrlf[:2])
		i := bytes.IndexByte(line, ':')
		if i <= 0 {
			return errMalformed
		}
		for j, c := range line[:i] {
			if c <= ' ' || c >= 0x7f {
				return errMalformed // also a folded line
			}
			if c >= 'A' && c <= 'Z' {
				line[j] = c | 0x20
			}
		}
		f := replyField{line[:i], bytes.Trim(line[i+1:], " \t")}
		r.fields = append(r.fields, f)
		if err := r.framing(f); err != nil {
			return err
		}
	}
	return nil
}

// framing notes the headers that say where the body ends.
func (r *reply) framing(f replyField) error {
	switch string(f.name) {
	case "content-length":
		n, err := strconv.ParseUint(string(f.value), 10, 62)
		if err != nil || (r.length >= 0 && r.length != int64(n)) {
			return errMalformed
		}
		r.length = int64(n)
	case "transfer-encoding":
		if !bytes.EqualFold(f.value, []byte("chunked")) || r.chunked {
			return errMalformed
		}
		r.chunked = true
	case "connection":
		if hasToken(f.value, "close") {
			r.reusable = false
		} else if r.minor == '0' && hasToken(f.value, "keep-alive") {
			r.reusable = true
		}
	}
	return nil
}

// hasToken looks for a word in a comma-separated list.
func hasToken(list []byte, word string) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte(","))
		if item = bytes.TrimSpace(item); len(item) == len(word) && bytes.EqualFold(item, []byte(word)) {
			return true
		}
	}
	return false
}

func (k *conn) readBody(r *reply, method string) error {
	switch {
	case method == "HEAD" || r.status == http.StatusNoContent || r.status == http.StatusNotModified:
		return nil
	case k.sink != nil && r.status == http.StatusOK:
		return k.readObject(r)
	case k.detail && r.status/100 == 2 && r.get("etag") != nil:
		r.reusable = false
		return nil
	case r.chunked:
		if r.length >= 0 {
			r.reusable = false // two answers to where it ends: trust neither for long
		}
		return k.readChunked(r)
	case r.length > r.most():
		if r.status/100 == 2 {
			return errTooLong
		}
		r.reusable = false
		body, err := k.take(maxFailure)
		r.body = body
		return err
	case r.length >= 0:
		body, err := k.take(int(r.length))
		r.body = body
		return err
	}
	return k.readToEnd(r)
}

// most is how long the body may be.
func (r *reply) most() int64 {
	if r.status/100 == 2 {
		return maxBody
	}
	return maxFailure
}

// readToEnd takes what comes until the store closes the connection.
func (k *conn) readToEnd(r *reply) error {
	r.reusable = false
	for {
		err := k.fill()
		if int64(k.w-k.r) > r.most() {
			if r.status/100 == 2 {
				return errTooLong
			}
			r.body = k.buf[k.r : k.r+maxFailure]
			return nil
		}
		if errors.Is(err, io.EOF) {
			r.body, k.r = k.buf[k.r:k.w], k.w
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (k *conn) readChunked(r *reply) error {
	k.body = k.body[:0]
	for {
		line, err := k.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 31)
		if err != nil {
			return errMalformed
		}
		if n == 0 {
			break
		}
		if int64(len(k.body))+int64(n) > r.most() {
			if r.status/100 == 2 {
				return errTooLong
			}
			return k.cutChunk(r)
		}
		data, err := k.take(int(n) + 2)
		if err != nil {
			return err
		}
		if string(data[n:]) != "\r\n" {
			return errMalformed
		}
		k.body = append(k.body, data[:n]...)
	}
	for { // trailers
		line, err := k.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			r.body = k.body
			return nil
		}
	}
}

// cutChunk takes as much of a chunk as an error may be long.
func (k *conn) cutChunk(r *reply) error {
	r.reusable = false
	data, err := k.take(maxFailure - len(k.body))
	if err != nil {
		return err
	}
	r.body = append(k.body, data...)
	return nil
}

// line takes one line, without its CRLF.
func (k *conn) line() ([]byte, error) {
	for at := k.r; ; {
		if i := bytes.IndexByte(k.buf[at:k.w], '\n'); i >= 0 {
			line := k.buf[k.r : at+i]
			k.r = at + i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if k.w-k.r > 4096 {
			return nil, errTooLong
		}
		at = k.w
		if err := k.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// take waits for n bytes and takes them.
func (k *conn) take(n int) ([]byte, error) {
	for k.w-k.r < n {
		if err := k.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
	b := k.buf[k.r : k.r+n]
	k.r += n
	return b, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// get is the value of a header, nil where there is none.
func (r *reply) get(name string) []byte {
	for i := range r.fields {
		if string(r.fields[i].name) == name {
			return r.fields[i].value
		}
	}
	return nil
}

// id is how the store names the request.
func (r *reply) id() []byte {
	if id := r.get("x-amz-request-id"); id != nil {
		return id
	}
	return r.get("x-amz-id-2")
}

// amz says whether it has any header of S3.
func (r *reply) amz() bool {
	for i := range r.fields {
		if bytes.HasPrefix(r.fields[i].name, []byte("x-amz-")) {
			return true
		}
	}
	return false
}

// header is get for Classify: any case, a string.
func (r *reply) header(name string) string { return string(r.get(strings.ToLower(name))) }
