package engine

import (
	"cmp"
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/upload"
)

// readAhead is how much of an object is read at a time that can be opened in order
// only.
const readAhead = 1 << 20

// inOrder is the source as a stream of stretches, each of which is asked for again
// where it fails.
type inOrder struct {
	ctx  context.Context // of the one upload that it feeds
	p    *passage
	next int64
	have []byte
	buf  []byte
}

func (r *inOrder) Read(b []byte) (int, error) {
	if len(r.have) == 0 {
		n := min(r.p.size-r.next, readAhead)
		if n == 0 {
			return 0, io.EOF
		}
		if err := r.p.read(r.ctx, r.next, r.buf[:n]); err != nil {
			return 0, err
		}
		r.have, r.next = r.buf[:n], r.next+n
	}
	n := copy(b, r.have)
	r.have = r.have[n:]
	return n, nil
}

// fillInOrder is fill for AES-CBC: where its text ends, only the padding tells. What
// was opened is encrypted and sent while the next part is read.
func (p *passage) fillInOrder(ctx context.Context, s *upload.Sending) (sent int64, err error) {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.it.run.cfg.PartsInFlight)
	text, err := p.e.NewReader(p.key, &inOrder{ctx: gctx, p: p, buf: make([]byte, readAhead)}, p.size)
	if err != nil {
		return 0, p.unopened(err)
	}
	for number, ended := 1, false; !ended && gctx.Err() == nil; number++ {
		if err = s.MayGoOn(gctx); err != nil {
			break
		}
		var part []byte
		var done func()
		if part, done, err = p.it.run.room.hold(gctx, p.partSize()+tagSize); err != nil {
			break
		}
		if part, ended, err = p.nextInOrder(text, part[:p.partSize()], sent); err != nil {
			done()
			break
		}
		p.it.sums.add(sent, part)
		at := sent
		sent += int64(len(part))
		g.Go(func() error {
			defer done()
			if len(part) == 0 && number > 1 {
				return nil // the text ended with the part before
			}
			return s.Part(gctx, number, at, part)
		})
	}
	stopped := gctx.Err() // before Wait ends it
	if werr := g.Wait(); werr != nil {
		return 0, werr // also where the reading ended because of it
	}
	return sent, cmp.Or(err, stopped)
}

// nextInOrder fills a part, and with the last one ends the new object.
func (p *passage) nextInOrder(text *cse.Reader, into []byte, from int64) (part []byte, ended bool, err error) {
	n, err := io.ReadFull(text, into)
	ended = err == io.EOF || err == io.ErrUnexpectedEOF
	if err != nil && !ended {
		return nil, false, p.unopened(err)
	}
	part = into[:n]
	if p.up != nil {
		if err := p.up.Part(part, part, from); err != nil {
			return nil, false, p.unopened(err)
		}
	}
	if !ended {
		return part, false, nil
	}
	proof, err := text.Verified()
	if err == nil {
		part, err = p.sealed(part, proof)
	}
	return part, true, p.unopened(err)
}
