package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// nullFar makes each reply of the null server take its time, and limits requests as S3
// does for one prefix: so many that change something and so many that read in a second, the
// rest is answered with SlowDown.
type nullFar struct {
	delay time.Duration

	mu            sync.Mutex
	began         time.Time
	change, reads tokens
	seconds       []FarSecond
}

// FarSecond is what was taken and refused of the copies within one second, and of the reads.
type FarSecond struct{ Taken, Refused, Read, ReadRefused int }

// tokens is a bucket of them that holds a tenth of a second's.
type tokens struct {
	rate, level float64
	at          time.Time
}

func (t *tokens) take(now time.Time) bool {
	if t.rate == 0 {
		return true
	}
	t.level = min(t.rate/10, t.level+t.rate*now.Sub(t.at).Seconds())
	t.at = now
	if t.level < 1 {
		return false
	}
	t.level--
	return true
}

// setFar takes delay, mutations and reads of the query, and gives what was counted
// since it was last called.
func (s *nullServer) setFar(query url.Values) []byte {
	var f *nullFar
	if query.Has("delay") {
		number := func(name string) float64 {
			n, _ := strconv.ParseFloat(query.Get(name), 64)
			return n
		}
		delay, err := time.ParseDuration(query.Get("delay"))
		if err != nil {
			return nil
		}
		f = &nullFar{delay: delay, began: time.Now(), change: tokens{rate: number("mutations")}, reads: tokens{rate: number("reads")}}
	}
	var seconds []FarSecond
	if old := s.far.Swap(f); old != nil {
		old.mu.Lock()
		seconds = old.seconds
		old.mu.Unlock()
	}
	data, err := json.Marshal(seconds)
	if err != nil {
		return nil
	}
	return nullReply("200 OK", "", string(data))
}

var (
	slowDown     = nullReply("503 Slow Down", "", `<?xml version="1.0" encoding="UTF-8"?>`+"\n<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message><RequestId>17D6B4A1C2E3F405</RequestId></Error>")
	slowDownHead = []byte("HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nServer: null\r\nx-amz-request-id: 17D6B4A1C2E3F405\r\n\r\n")
)

// answer gives the reply, or a refusal, when the time has passed that it takes.
func (f *nullFar) answer(head, reply []byte) []byte {
	if bytes.HasPrefix(head, []byte("GET /-")) {
		return reply
	}
	now := time.Now()
	f.mu.Lock()
	at := int(now.Sub(f.began) / time.Second)
	for len(f.seconds) <= at {
		f.seconds = append(f.seconds, FarSecond{})
	}
	second := &f.seconds[at]
	switch change := bytes.HasPrefix(head, []byte("PUT ")); {
	case change && f.change.take(now):
		second.Taken++
	case change:
		second.Refused++
		reply = slowDown
	case f.reads.take(now):
		second.Read++
	default:
		second.ReadRefused++
		if reply = slowDown; bytes.HasPrefix(head, []byte("HEAD ")) {
			reply = slowDownHead
		}
	}
	f.mu.Unlock()
	time.Sleep(f.delay)
	return reply
}
