package s3test

import (
	"strings"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/s3test/fault"
)

// Limits are token buckets; zero is no limit. What exceeds one is answered with
// SlowDown and not applied.
type Limits struct {
	// Requests a second, of all kinds together. KMS is of those that use a KMS
	// key, and answers in KMS's words.
	Requests, KMS float64
	// PerPrefix makes Requests a limit for each prefix up to the last slash of the
	// key instead of for all together.
	PerPrefix bool
	// Under limits only requests for keys that begin with it.
	Under string
	// Burst is how many requests may come at once; a tenth of a second's worth
	// (at least 1) where zero.
	Burst float64
	// RetryAfter is sent with SlowDown where not zero, in whole seconds.
	RetryAfter int
}

// SetLimits changes the limits at once; the buckets start full.
func (s *Server) SetLimits(l Limits) { s.limits.set(l, time.Now()) }

type limiter struct {
	mu struct {
		sync.Mutex
		limits  Limits
		s3      map[string]*bucketOfTokens
		kms     *bucketOfTokens
		refused int
	}
}

type bucketOfTokens struct {
	rate, burst, level float64
	at                 time.Time
}

func newTokens(rate, burst float64, now time.Time) *bucketOfTokens {
	if burst == 0 {
		burst = max(1, rate/10)
	}
	return &bucketOfTokens{rate: rate, burst: burst, level: burst, at: now}
}

func (b *bucketOfTokens) take(now time.Time) bool {
	b.level = min(b.burst, b.level+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

func (l *limiter) set(limits Limits, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.limits, l.mu.s3, l.mu.kms = limits, nil, nil
	if limits.Requests > 0 {
		l.mu.s3 = map[string]*bucketOfTokens{}
	}
	if limits.KMS > 0 {
		l.mu.kms = newTokens(limits.KMS, limits.Burst, now)
	}
}

// admit takes a token for the request, or tells what to answer instead.
func (l *limiter) admit(s *Server, q *request) *s3Error {
	l.mu.Lock()
	none := l.mu.s3 == nil && l.mu.kms == nil
	l.mu.Unlock()
	if none || q.bucket == "" {
		return nil
	}
	kms := s.usesKMS(q)
	l.mu.Lock()
	defer l.mu.Unlock()
	now, retry := time.Now(), ""
	if l.mu.limits.RetryAfter > 0 {
		retry = itoa(l.mu.limits.RetryAfter)
	}
	if l.mu.s3 != nil && strings.HasPrefix(q.key, l.mu.limits.Under) {
		prefix := ""
		if l.mu.limits.PerPrefix {
			prefix = q.bucket + "/" + dir(q.key)
		}
		b := l.mu.s3[prefix]
		if b == nil {
			b = newTokens(l.mu.limits.Requests, l.mu.limits.Burst, now)
			l.mu.s3[prefix] = b
		}
		if !b.take(now) {
			return errSlowDown(fault.SlowDown, retry)
		}
	}
	if kms && l.mu.kms != nil && !l.mu.kms.take(now) {
		return errSlowDown(fault.KMSSlowDown, retry)
	}
	return nil
}

func dir(key string) string {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == '/' {
			return key[:i+1]
		}
	}
	return ""
}

// usesKMS says whether S3 will call KMS for the request: a write under a KMS
// key, or a read of what is under one.
func (s *Server) usesKMS(q *request) bool {
	switch q.op {
	case "PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "UpdateObjectEncryption":
		if q.op == "UpdateObjectEncryption" || q.h(hSSE) == "aws:kms" || q.h(hSSE) == "aws:kms:dsse" {
			return true
		}
	case "GetObject":
	default:
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[q.bucket]
	if b == nil {
		return false
	}
	if q.op != "GetObject" && !q.has(hSSE) && !q.hasQuery("uploadId") && b.cfg.DefaultEncryption.Type.KMS() {
		return true
	}
	if q.op == "CopyObject" || q.op == "UploadPartCopy" {
		src, e := s.sourceOf(q)
		return e == nil && src.version.attrs.Encryption.Type.KMS()
	}
	if u := b.uploads[q.q("uploadId")]; u != nil {
		return u.enc.Type.KMS()
	}
	_, v := b.find(q.key, q.q("versionId"))
	return q.op == "GetObject" && v != nil && v.attrs.Encryption.Type.KMS()
}

func errSlowDown(a fault.Answer, retry string) *s3Error {
	e := errAnswer(a)
	e.retry = retry
	return e
}
