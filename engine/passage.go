package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/upload"
)

const (
	// sentPart is the size of the parts that go through this process, unless 10,000 of
	// them do not suffice: the least that S3 takes, so that many fly at once in little
	// memory.
	sentPart = 5 << 20
	// maxPartsHeld bounds the bytes that a run holds whose objects go through this
	// process in parts, whatever its workers are. The collector lets the process
	// grow to nearly twice of it.
	maxPartsHeld = 8 * (sentPart + 2*tagSize)
	maxParts     = 10_000
	tagSize      = 16
)

// passage is an object on its way through this process: one attempt, with one data key
// where it gets one.
type passage struct {
	it  *item
	e   cse.Envelope // of the source; None where nobody has encrypted it
	key cse.DataKey
	up  *cse.Upload // nil where the new object is not encrypted here
	// size is the source's; text is that of what is in it, -1 where only its end tells.
	size, text int64
	// parts are the sizes of what is sent, before a tag; nil where the text is not known.
	parts []int64
	// own: parts are those that the source was uploaded in.
	own bool
	dec *cse.Decrypter // nil where the source is plain or under AES-CBC
	// source has the checksums of a plain source that is encrypted here; else nil.
	source *sums
}

// inOne writes the object by one PutObject.
func (p *passage) inOne(ctx context.Context) (*object.Outcome, error) {
	it := p.it
	buf, done, err := it.run.room.hold(ctx, p.size+tagSize)
	if err != nil {
		return nil, err
	}
	defer done()
	got, err := it.run.look.Read(ctx, &it.obj, true, buf)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(got.Metadata, it.attrs.Metadata) {
		return nil, look.ChangedSince("GetObject", it.obj.Ref)
	}
	body, err := p.remade(got.Body)
	if err != nil {
		return nil, p.unopened(err)
	}
	it.sums = it.newSums()
	it.sums.add(0, body)
	it.obj.Size = int64(len(body))
	put := it.rules().Rewrite(&it.obj, it.attrs, body, time.Now())
	put.ChecksumAlgorithm, put.Checksum = it.obj.ChecksumAlgorithm, object.Checksum(it.obj.ChecksumAlgorithm, body)
	call := object.Call{Kind: object.ReqPut, Key: it.obj.Key, KMSKey: it.rules().KMSKey(&it.obj), Bytes: it.obj.Size}
	return it.replace(ctx, "PutObject", call, &put.CopyRequest, func(ctx context.Context) (object.CopyReply, error) {
		return it.run.cfg.Store.Put(ctx, put)
	})
}

// remade opens and encrypts what was read, in its place.
func (p *passage) remade(body []byte) ([]byte, error) {
	proof := cse.Unencrypted(int64(len(body)))
	if p.e.Format != cse.None {
		r, err := p.e.NewReader(p.key, bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return nil, err
		}
		n, err := io.ReadFull(r, body) // what it has read lies before what it is going to
		if n == len(body) || err != io.ErrUnexpectedEOF && err != io.EOF {
			return nil, err
		}
		if proof, err = r.Verified(); err != nil {
			return nil, err
		}
		body = body[:n]
	}
	if p.up != nil {
		if err := p.up.Part(body, body, 0); err != nil {
			return nil, err
		}
	}
	return p.sealed(body, proof)
}

// unopened makes the error of a source that is not what was encrypted.
func (p *passage) unopened(err error) error {
	_, told := errors.AsType[*object.Error](err)
	if err == nil || told || errors.Is(err, retry.ErrStopping) || errors.Is(err, context.Canceled) {
		return err
	}
	return &object.Error{Class: object.ClassInvalid, Op: "rewrite", Ref: p.it.obj.Ref, Message: err.Error(),
		Hint: "nothing was written; restore the object from a version or a backup"}
}

// newSums begins to sum where somebody may ask for it.
func (it *item) newSums() *sums {
	switch {
	case it.anew == nil:
		return &sums{algorithm: it.obj.ChecksumAlgorithm}
	case it.run.cfg.Verify == VerifyRead || it.anew.plain:
		return new(sums)
	}
	return nil
}

// inParts writes the object by an upload whose parts are encrypted at the same time
// and in any order. The last one is made when all the others are sent: it holds the
// tag, which is given against the proof that the whole source was right.
func (p *passage) inParts(ctx context.Context) (*object.Outcome, error) {
	it := p.it
	if err := p.begin(); err != nil {
		return nil, p.unopened(err)
	}
	it.sums = it.newSums()
	req := it.rules().Copy(&it.obj, it.attrs, object.Choice{Operation: object.OpRewrite, Route: object.RouteSend}, time.Now())
	var sent int64
	how := upload.Sent{Made: p.made, Fill: func(ctx context.Context, s *upload.Sending) (err error) {
		sent, err = p.fill(ctx, s)
		return err
	}}
	reply, err := it.parts().Send(ctx, it.source(), req, it.rules().Lost(req, &it.obj, it.attrs, time.Now()), how)
	it.obj.Size = sent
	return it.completed(ctx, reply, err)
}

// made says whether an object that was found after a lost answer is the one that this
// attempt makes.
func (p *passage) made(ctx context.Context, h *object.Head) (bool, error) {
	switch it := p.it; {
	case it.anew != nil && !maps.Equal(h.Metadata, it.anew.metadata):
		return false, nil
	case it.anew == nil: // under the new encryption, which the object was not
		return it.hasSums(ctx, h)
	case it.anew.plain:
		return it.showsText(ctx, h)
	}
	return true, nil
}

// begin opens the source.
func (p *passage) begin() (err error) {
	if p.text = p.size; p.e.Format != cse.None {
		if p.text, err = p.e.TextSize(p.size); err == nil && p.text >= 0 {
			p.dec, err = p.e.NewDecrypter(p.key, p.size)
		}
	}
	if p.e.Format == cse.None && p.up != nil {
		p.source = &sums{algorithm: p.it.obj.ChecksumAlgorithm, only: true}
	}
	if p.parts == nil && p.text >= 0 {
		p.parts = carry.Split(p.text, p.partSize())
	}
	return err
}

// partSize is that of the parts of what is encrypted here, whole blocks.
func (p *passage) partSize() int64 {
	n := min(p.it.run.cfg.PartSize, sentPart) &^ (tagSize - 1)
	if need := p.size/maxParts + 1; n < need {
		n = (need + 1<<20 - 1) &^ (1<<20 - 1)
	}
	return n
}

// fill sends all parts, and says how many bytes that were.
func (p *passage) fill(ctx context.Context, s *upload.Sending) (sent int64, err error) {
	if p.text < 0 {
		return p.fillInOrder(ctx, s)
	}
	var from int64
	last := len(p.parts) - 1
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.it.run.cfg.PartsInFlight)
	for i, size := range p.parts[:last] {
		if err := s.MayGoOn(gctx); err != nil {
			g.Go(func() error { return err })
			break
		}
		at := from
		g.Go(func() error { return p.part(gctx, s, i, at, size) })
		from += size
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	n, err := p.last(ctx, s, last, from)
	if err == nil && p.e.Format == cse.None {
		err = p.sameChecksum()
	}
	return from + n, err
}

// part reads one stretch, opens it, encrypts it and sends it.
func (p *passage) part(ctx context.Context, s *upload.Sending, i int, from, size int64) error {
	buf, done, err := p.it.run.room.hold(ctx, size)
	if err != nil {
		return err
	}
	defer done()
	if err := p.read(ctx, from, buf); err != nil {
		return err
	}
	p.source.add(from, buf)
	if err := p.cross(buf, from); err != nil {
		return p.unopened(err)
	}
	p.it.sums.add(from, buf)
	return s.Part(ctx, i+1, from, buf)
}

// last sends the part that ends the object.
func (p *passage) last(ctx context.Context, s *upload.Sending, i int, from int64) (int64, error) {
	text := p.text - from
	buf, done, err := p.it.run.room.hold(ctx, p.size-from+tagSize)
	if err != nil {
		return 0, err
	}
	defer done()
	buf = buf[:p.size-from]
	if err := p.read(ctx, from, buf); err != nil {
		return 0, err
	}
	p.source.add(from, buf)
	tag := bytes.Clone(buf[text:])
	buf = buf[:text]
	if err := p.cross(buf, from); err != nil {
		return 0, p.unopened(err)
	}
	proof := cse.Unencrypted(p.text)
	if p.dec != nil {
		if proof, err = p.dec.Verify(tag); err != nil {
			return 0, p.unopened(err)
		}
	}
	if buf, err = p.sealed(buf, proof); err != nil {
		return 0, p.unopened(err)
	}
	p.it.sums.add(from, buf)
	return int64(len(buf)), s.Part(ctx, i+1, from, buf)
}

// sealed adds the tag of the new object to its last bytes.
func (p *passage) sealed(b []byte, proof cse.Verified) ([]byte, error) {
	if p.up == nil {
		return b, nil
	}
	tag, err := p.up.Finish(proof)
	return append(b, tag...), err
}

func (p *passage) read(ctx context.Context, from int64, into []byte) error {
	if len(into) == 0 {
		return nil
	}
	return p.it.run.look.ReadRange(ctx, &p.it.obj, from, into)
}

// cross takes a stretch of the source to the same stretch of the new object.
func (p *passage) cross(b []byte, from int64) error {
	if p.dec != nil {
		if err := p.dec.Part(b, b, from); err != nil {
			return err
		}
	}
	if p.up != nil {
		return p.up.Part(b, b, from)
	}
	return nil
}
