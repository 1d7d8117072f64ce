package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/klauspost/compress/zstd"
)

// Log is the segments of one store below a place. A Log is used by one goroutine at a
// time.
type Log struct {
	place *Place // the segments' own
	// id says whose log it is: a segment of another one is refused.
	id    string
	lease *Lease // nil for reading

	next  uint64 // the number of the next segment
	prev  string // digest of the last
	epoch uint64
	size  int64
	pack  *zstd.Encoder
}

// head is the first line of a segment's object; the changes follow, compressed.
type head struct {
	Format int `json:"format"`
	// ID is whose log it is, Number its place in it, from 1; Previous the digest of the
	// object before it.
	ID       string `json:"id"`
	Number   uint64 `json:"number"`
	Previous string `json:"previous,omitempty"`
	// Epoch and Owner are those of the lease that it was written under.
	Epoch uint64 `json:"epoch"`
	Owner string `json:"owner"`
	// Sum is of what follows the line, as it is stored.
	Sum string `json:"sum"`
}

const (
	segmentFormat = 1
	segmentDigits = 12
	// readAhead is how many segments are fetched at a time.
	readAhead = 16
)

// segmentName puts the segments into the order of their numbers.
func segmentName(n uint64) string { return fmt.Sprintf("%0*d", segmentDigits, n) }

// DamagedError is a log or a lease that cannot be what reseal wrote, and what to do.
type DamagedError struct{ Object, What, Fix string }

// restoreLog is what to do about a log.
const restoreLog = "restore it from the versions of its bucket or a copy, or begin a new job at another place, which finds what this one has done"

func (e *DamagedError) Error() string { return e.Object + ": " + e.What }

// NewLog is the log below a folder of the place. The id names its owner, as the digest of
// a job's specification does.
func NewLog(p *Place, folder, id string) *Log { return &Log{place: p.At(folder), id: id, next: 1} }

// Segments tells all segments, oldest first, as they were given to Keep. Without a lease
// these are all that were there when it began. With one it goes on until no other process
// can add any: its last step is to create a segment of its own, which is empty; then
// Keep may be called. A log that is broken, or another's, ends it with an error.
func (l *Log) Segments(ctx context.Context, lease *Lease) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(2*MaxObject), zstd.WithDecoderConcurrency(1))
		if err != nil {
			yield(nil, err)
			return
		}
		defer d.Close()
		last, err := l.last(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			for object, err := range l.fetch(ctx, last) {
				var segment []byte
				if err == nil {
					segment, err = l.take(object, d)
				}
				if len(segment) == 0 && err == nil {
					continue // the beginning of a holder
				}
				if !yield(segment, err) || err != nil {
					return
				}
			}
			if lease == nil {
				return
			}
			begun, err := l.begin(ctx, lease)
			if err != nil {
				yield(nil, err)
				return
			}
			if begun {
				return
			}
			last = l.next // somebody wrote it meanwhile
		}
	}
}

// Len is how many objects the log has now.
func (l *Log) Len(ctx context.Context) (uint64, error) { return l.last(ctx) }

// last is the number of the last segment that is listed; 0 for none. A gap is damage.
func (l *Log) last(ctx context.Context) (uint64, error) {
	entries, err := l.place.List(ctx, "")
	if err != nil {
		return 0, err
	}
	l.size = 0
	for i, e := range entries {
		n, err := strconv.ParseUint(e.Name, 10, 64)
		if err != nil || segmentName(n) != e.Name {
			return 0, &DamagedError{l.place.String() + e.Name, "this is no segment of the job's state", "take it away if it is yours"}
		}
		if n != uint64(i)+1 {
			return 0, &DamagedError{l.place.String(), fmt.Sprintf("segment %d is missing", i+1), restoreLog}
		}
		l.size += e.Size
	}
	return uint64(len(entries)), nil
}

// fetch reads the segments from l.next to last, several at a time, in their order.
func (l *Log) fetch(ctx context.Context, last uint64) iter.Seq2[[]byte, error] {
	type answer struct {
		data []byte
		err  error
	}
	return func(yield func([]byte, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var ahead []chan answer
		for n := l.next; n <= last || len(ahead) > 0; {
			for ; n <= last && len(ahead) < readAhead; n++ {
				c, name := make(chan answer, 1), segmentName(n)
				ahead = append(ahead, c)
				go func() {
					data, _, err := l.place.Read(ctx, name)
					c <- answer{data, err}
				}()
			}
			a := <-ahead[0]
			if ahead = ahead[1:]; !yield(a.data, a.err) || a.err != nil {
				return
			}
		}
	}
}

// take checks a segment's object against those before it, and tells its changes.
func (l *Log) take(object []byte, d *zstd.Decoder) ([]byte, error) {
	h, body, err := l.parse(object, l.next)
	if err != nil {
		return nil, err
	}
	switch {
	case h.Previous != l.prev:
		return nil, l.damaged(l.next, "it does not follow the one before it")
	case h.Epoch < l.epoch:
		return nil, l.damaged(l.next, "it is of an older holder than the one before it")
	}
	segment := []byte(nil)
	if len(body) > 0 {
		if segment, err = d.DecodeAll(body, nil); err != nil {
			return nil, l.damaged(l.next, err.Error())
		}
	}
	l.follow(object, h.Epoch)
	return segment, nil
}

// follow goes on behind a segment.
func (l *Log) follow(object []byte, epoch uint64) {
	sum := sha256.Sum256(object)
	l.prev, l.epoch = hex.EncodeToString(sum[:]), epoch
	l.next++
}

// parse reads the head of a segment's object, and checks all that it says of itself.
func (l *Log) parse(object []byte, n uint64) (h head, body []byte, err error) {
	line, body, _ := bytes.Cut(object, []byte("\n"))
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return h, nil, l.damaged(n, "it is no segment of reseal, or of a newer one: "+err.Error())
	}
	sum := sha256.Sum256(body)
	switch {
	case h.Format != segmentFormat:
		return h, nil, l.damaged(n, fmt.Sprintf("it has format %d, and this reseal knows %d", h.Format, segmentFormat))
	case h.ID != l.id:
		return h, nil, l.damaged(n, "it is of another job, or of another shard")
	case h.Number != n:
		return h, nil, l.damaged(n, fmt.Sprintf("it says that it is segment %d", h.Number))
	case h.Sum != hex.EncodeToString(sum[:]):
		return h, nil, l.damaged(n, "it is damaged: its digest differs")
	}
	return h, body, nil
}

func (l *Log) damaged(n uint64, what string) error {
	return &DamagedError{l.place.ref(segmentName(n)).String(), what, restoreLog}
}

// begin creates the first segment of a new holder; false where another process has made
// one of that number, which has to be read first.
func (l *Log) begin(ctx context.Context, lease *Lease) (bool, error) {
	if err := lease.Hold(ctx, nil); err != nil {
		return false, err
	}
	l.lease = lease
	// Whoever took the lease's object away has not turned the count of holders back.
	epoch := max(lease.Holding().Epoch, l.epoch+1)
	err := l.create(ctx, nil, epoch)
	if errors.Is(err, ErrExists) {
		return false, nil
	}
	return err == nil, err
}

func (l *Log) create(ctx context.Context, body []byte, epoch uint64) error {
	sum := sha256.Sum256(body)
	line, err := json.Marshal(head{Format: segmentFormat, ID: l.id, Number: l.next, Previous: l.prev, Epoch: epoch,
		Owner: l.lease.Holding().Owner, Sum: hex.EncodeToString(sum[:])})
	if err != nil {
		return err
	}
	object := append(append(line, '\n'), body...)
	if _, err := l.place.Create(ctx, segmentName(l.next), object); err != nil {
		return err
	}
	l.size += int64(len(object))
	l.follow(object, epoch)
	return nil
}

// Keep makes a segment durable behind all before it. Where another process has added one
// its error is ErrLost.
func (l *Log) Keep(segment []byte) error {
	if l.pack == nil {
		var err error
		if l.pack, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20)); err != nil {
			return err
		}
	}
	body := l.pack.EncodeAll(segment, nil)
	// The lease may be waited for, as after a sleep: a store that another process reads
	// by now gets nothing more.
	if err := l.lease.Hold(l.lease.life, nil); err != nil {
		return err
	}
	err := l.create(l.lease.life, body, l.epoch)
	if errors.Is(err, ErrExists) {
		return ErrLost
	}
	return err
}

// Size is how many objects the log has, and their bytes.
func (l *Log) Size() (objects uint64, bytes int64) { return l.next - 1, l.size }
