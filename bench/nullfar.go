package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"
)

// Far is what the null server becomes: far away, limited as S3 limits one prefix, short
// of servers, or ill. The zero value of each field leaves it out.
type Far struct {
	// Delay of each reply.
	Delay time.Duration
	// Servers work on one request each, for Delay; others wait for them.
	Servers int
	// Mutations and Reads a second are taken, the rest is answered with SlowDown; where
	// Wide, of each folder. KMS is the same of copies under a KMS key, in KMS's words.
	Mutations, Reads, KMS float64
	Wide                  bool
	// Halve and Double are when Mutations and KMS are halved, and when they come back.
	Halve, Double time.Duration
	// Stray is the share of the copies that is refused however few there are, by KMS
	// where StrayKMS.
	Stray    float64
	StrayKMS bool
}

// nullFar is a Far at work.
type nullFar struct {
	Far

	mu      sync.Mutex
	began   time.Time
	limits  map[string]*farLimits // by folder
	free    []time.Time           // when each server is
	rand    *rand.Rand
	seconds []FarSecond
	first   time.Time
	last    time.Time
}

type farLimits struct{ change, reads, kms tokens }

// FarSecond is what was taken and refused of the copies within one second, and of the
// reads. Stray are the refusals that no limit gave.
type FarSecond struct{ Taken, Refused, Stray, Read, ReadRefused int }

// FarSeen is what was counted.
type FarSeen struct {
	Seconds []FarSecond
	// Took is from the first copy that was taken to the last.
	Took time.Duration
}

// tokens is a bucket of them that holds a tenth of a second's.
type tokens struct {
	level float64
	at    time.Time
}

func (t *tokens) take(now time.Time, rate float64) bool {
	if rate == 0 {
		return true
	}
	t.level = min(rate/10, t.level+rate*now.Sub(t.at).Seconds())
	t.at = now
	if t.level < 1 {
		return false
	}
	t.level--
	return true
}

// setFar takes a Far as JSON, or nothing, and gives what was counted since it was last called.
func (s *nullServer) setFar(setting string) []byte {
	var f *nullFar
	if setting != "" {
		f = &nullFar{began: time.Now(), limits: map[string]*farLimits{}, rand: rand.New(rand.NewPCG(1, 2))}
		if err := json.Unmarshal([]byte(setting), &f.Far); err != nil {
			return nullReply("400 Bad Request", "", err.Error())
		}
		f.free = make([]time.Time, f.Servers)
	}
	var seen FarSeen
	if old := s.far.Swap(f); old != nil {
		old.mu.Lock()
		seen = FarSeen{old.seconds, old.last.Sub(old.first)}
		old.mu.Unlock()
	}
	data, err := json.Marshal(seen)
	if err != nil {
		return nil
	}
	return nullReply("200 OK", "", string(data))
}

var (
	slowDown     = slowDownReply("Please reduce your request rate.")
	slowDownKMS  = slowDownReply("Please reduce your request rate for operations involving AWS KMS.")
	slowDownHead = []byte("HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nServer: null\r\nx-amz-request-id: 17D6B4A1C2E3F405\r\n\r\n")
)

func slowDownReply(message string) []byte {
	return nullReply("503 Slow Down", "", `<?xml version="1.0" encoding="UTF-8"?>`+"\n<Error><Code>SlowDown</Code><Message>"+message+"</Message><RequestId>17D6B4A1C2E3F405</RequestId></Error>")
}

// answer gives the reply, or a refusal, when the time has passed that it takes.
func (f *nullFar) answer(head, reply []byte) []byte {
	if bytes.HasPrefix(head, []byte("GET /-")) {
		return reply
	}
	reply, until := f.decide(head, reply, time.Now())
	time.Sleep(time.Until(until))
	return reply
}

// decide says what is answered, and when.
func (f *nullFar) decide(head, reply []byte, now time.Time) ([]byte, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	since := now.Sub(f.began)
	at := int(since / time.Second)
	for len(f.seconds) <= at {
		f.seconds = append(f.seconds, FarSecond{})
	}
	second, limits := &f.seconds[at], f.limitsOf(head)
	factor := 1.0
	if f.Halve > 0 && since >= f.Halve && since < f.Double {
		factor = 0.5
	}
	if !bytes.HasPrefix(head, []byte("PUT ")) {
		if limits.reads.take(now, f.Reads) {
			second.Read++
			return reply, f.served(now)
		}
		second.ReadRefused++
		if bytes.HasPrefix(head, []byte("HEAD ")) {
			return slowDownHead, now.Add(f.refusal())
		}
		return slowDown, now.Add(f.refusal())
	}
	switch {
	case !limits.change.take(now, f.Mutations*factor):
		second.Refused++
		return slowDown, now.Add(f.refusal())
	case f.KMS > 0 && indexFold(head, underKMS) >= 0 && !limits.kms.take(now, f.KMS*factor):
		second.Refused++
		return slowDownKMS, now.Add(f.refusal())
	case f.Stray > 0 && f.rand.Float64() < f.Stray:
		second.Stray++
		if f.StrayKMS {
			return slowDownKMS, now.Add(f.refusal())
		}
		return slowDown, now.Add(f.refusal())
	}
	second.Taken++
	if f.first.IsZero() {
		f.first = now
	}
	f.last = now
	return reply, f.served(now)
}

// limitsOf is what limits the request's folder, or everything. REQUIRES: mu.
func (f *nullFar) limitsOf(head []byte) *farLimits {
	folder := ""
	if i := bytes.Index(head, []byte("/"+nullPrefix)); f.Wide && i >= 0 && len(head) > i+1+len(nullPrefix)+nullFolder {
		folder = string(head[i+1+len(nullPrefix):][:nullFolder])
	}
	l := f.limits[folder]
	if l == nil {
		l = &farLimits{}
		f.limits[folder] = l
	}
	return l
}

// refusal is how long one takes: a server that only refuses is not waited for.
func (f *nullFar) refusal() time.Duration {
	if f.Servers > 0 {
		return 2 * time.Millisecond
	}
	return f.Delay
}

// served is when a request is done that begins now. REQUIRES: mu.
func (f *nullFar) served(now time.Time) time.Time {
	if f.Servers == 0 {
		return now.Add(f.Delay)
	}
	first := 0
	for i, at := range f.free {
		if at.Before(f.free[first]) {
			first = i
		}
	}
	begin := now
	if f.free[first].After(now) {
		begin = f.free[first]
	}
	f.free[first] = begin.Add(f.Delay)
	return f.free[first]
}
