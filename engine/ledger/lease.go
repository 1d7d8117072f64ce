package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"
)

// Holding is a lease as its object tells it.
type Holding struct {
	// Epoch counts the holders, from 1.
	Epoch uint64 `json:"epoch"`
	// Owner is the holder's own word, which no other process has.
	Owner string `json:"owner"`
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	// TTL is for how long it holds from its last renewal.
	TTL seconds `json:"ttl_seconds"`
	// Beat counts its renewals.
	Beat uint64 `json:"beat"`
	// Free: the holder has given it back.
	Free bool `json:"free,omitempty"`
	// Renewed is when it was last written, by the store's clock: for people.
	Renewed time.Time `json:"-"`
}

type seconds float64

// duration is to the nanosecond what the seconds were made of: 4.1 of them are a little less
// than 4,100 million, and would be taken for another duration.
func (s seconds) duration() time.Duration {
	return time.Duration(math.Round(float64(s) * float64(time.Second)))
}

// Bounds of a lease, and what it is where nobody says.
const (
	MinTTL     = time.Second
	DefaultTTL = time.Minute
	MaxTTL     = time.Hour
)

// HeldError says that another process holds the lease: it was seen to renew it.
type HeldError struct {
	Name string
	Holding
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is held by process %d on %s, which renews it", e.Name, e.PID, e.Host)
}

// deletedError is a lease whose object is gone.
type deletedError struct{ object string }

func (e *deletedError) Error() string {
	return e.object + " was deleted, by which this process held the job, so that it sends nothing more; see to it that no lifecycle rule and nobody deletes what lies at the job's place, and run it again"
}

// Is makes it a lease that was lost.
func (e *deletedError) Is(target error) bool { return target == ErrLost }

// ErrLost: another process has taken the lease.
var ErrLost = errors.New("another process has taken the job over: this one did not renew its lease in time, and sends nothing more")

// Lease is one that this process holds. Its methods are safe for concurrent use.
type Lease struct {
	place *Place
	name  string
	life  context.Context
	stop  context.CancelFunc
	ended chan struct{}
	early chan struct{} // of capacity 1: renew now

	mu struct {
		sync.Mutex
		now    Holding
		etag   string
		wanted time.Duration // TTL from the next renewal on; 0 for the same
		until  deadline
		lost   error
		// changed is closed, and made anew, whenever until or lost change.
		changed chan struct{}
	}
}

// deadline is an instant by the clock of this machine and by its count of the time that
// passes: what comes first ends it. A machine that sleeps stops the count, and somebody
// may set the clock back; both together are not believed in.
type deadline struct {
	at time.Time
}

func (d deadline) passed() bool {
	now := time.Now()
	return !now.Before(d.at) || !now.Round(0).Before(d.at.Round(0))
}

// Terms are how a lease is to be held.
type Terms struct {
	// TTL; DefaultTTL where it is zero.
	TTL time.Duration
	// Await waits for a holder that renews, instead of answering with HeldError.
	Await bool
	// Pass answers with HeldError where it is not known yet whether the holder lives: whoever
	// has other work goes on with that, and comes back.
	Pass bool
	// Waiting, where set, is told that the end of another holder is waited for, and for
	// how long at least, unless it renews the lease.
	Waiting func(Holding, time.Duration)
	// Watch, where set, is what was seen of the lease before.
	Watch *Watch
	// Life, where set, ends all that goes on under the lease: renewals, and Log.Keep. It
	// may last longer than the context of Acquire.
	Life context.Context
}

// Acquire takes the lease of that name: at once where nobody holds it, otherwise when
// its holder was not seen to renew it for longer than it can believe to hold it. A
// holder that renews it answers with a HeldError.
func Acquire(ctx context.Context, p *Place, name string, t Terms) (*Lease, error) {
	if t.TTL == 0 {
		t.TTL = DefaultTTL
	}
	if t.Watch == nil {
		t.Watch = new(Watch)
	}
	host, _ := os.Hostname()
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	l := &Lease{place: p, name: name, ended: make(chan struct{}), early: make(chan struct{}, 1)}
	l.mu.changed = make(chan struct{})
	mine := Holding{Epoch: 1, Owner: hex.EncodeToString(random[:]), Host: host, PID: os.Getpid(), TTL: seconds(t.TTL.Seconds())}
	for {
		there, etag, err := readHolding(ctx, p, name)
		if err != nil && !errors.Is(err, ErrNone) {
			return nil, err
		}
		if err == nil && !there.Free {
			if etag, err = outlive(ctx, p, name, &t); err != nil {
				return nil, err
			}
			if etag == "" {
				continue // it has changed, and is looked at again
			}
		}
		mine.Epoch = there.Epoch + 1
		sent := time.Now()
		etag, err = l.put(ctx, &mine, etag)
		if errors.Is(err, ErrExists) || errors.Is(err, ErrChanged) {
			continue // another was faster
		}
		if err != nil {
			return nil, err
		}
		l.mu.now, l.mu.etag, l.mu.until = mine, etag, deadline{sent.Add(t.TTL)}
		if l.life = t.Life; l.life == nil {
			l.life = context.WithoutCancel(ctx)
		}
		beating, stop := context.WithCancel(l.life)
		l.stop = stop
		go l.beat(beating)
		return l, nil
	}
}

func readHolding(ctx context.Context, p *Place, name string) (h Holding, etag string, err error) {
	data, etag, at, err := p.read(ctx, name)
	if err != nil {
		return h, "", err
	}
	h.Renewed = at
	if err := json.Unmarshal(data, &h); err != nil || h.Epoch == 0 || h.Epoch >= math.MaxInt64 {
		return h, "", &DamagedError{p.ref(name).String(), "this is no lease of reseal", "see to it that no process works on the job, and delete the object; the next process makes it anew"}
	}
	h.TTL = seconds(min(max(h.TTL.duration(), MinTTL), MaxTTL).Seconds())
	return h, etag, nil
}

// outlive waits until the holder cannot believe to hold the lease any more, and answers
// with the ETag of what it left. None without an error says that the lease has changed in
// a way that has to be looked at.
func outlive(ctx context.Context, p *Place, name string, t *Terms) (string, error) {
	first := ""
	for {
		there, life, etag, err := t.Watch.look(ctx, p, name)
		switch {
		case err != nil:
			return "", err
		case life == Nobody, first != "" && there.Owner != first:
			return "", nil
		case life == Gone:
			return etag, nil
		case (life == Alive || t.Pass) && !t.Await:
			return "", &HeldError{p.ref(name).String(), there}
		}
		wait := there.Patience()
		if first == "" && t.Waiting != nil {
			t.Waiting(there, wait)
		}
		first = there.Owner
		select {
		case <-time.After(min(wait/20, 2*time.Second)):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func (l *Lease) put(ctx context.Context, h *Holding, was string) (etag string, err error) {
	data, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	if was == "" {
		return l.place.Create(ctx, l.name, data)
	}
	return l.place.Replace(ctx, l.name, data, was)
}

// beat renews the lease until it is given back or lost.
func (l *Lease) beat(ctx context.Context) {
	defer close(l.ended)
	for {
		t := time.NewTimer(l.Holding().TTL.duration() / 3)
		select {
		case <-t.C:
		case <-l.early:
		case <-ctx.Done():
		}
		if t.Stop(); ctx.Err() != nil || !l.renew(ctx) {
			return
		}
	}
}

// Change holds the lease on another TTL from now on.
func (l *Lease) Change(ctx context.Context, ttl time.Duration) error {
	for {
		l.mu.Lock()
		lost, changed := l.mu.lost, l.mu.changed
		done := l.mu.now.TTL.duration() == ttl
		l.mu.wanted = ttl
		l.mu.Unlock()
		if lost != nil || done {
			return lost
		}
		select {
		case l.early <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-l.ended:
			return ErrLost // given back
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// renew says whether the lease is still worth renewing.
func (l *Lease) renew(ctx context.Context) bool {
	l.mu.Lock()
	next, etag := l.mu.now, l.mu.etag
	if l.mu.wanted != 0 {
		next.TTL = seconds(l.mu.wanted.Seconds())
	}
	l.mu.Unlock()
	next.Beat++
	sent := time.Now()
	etag, err := l.put(ctx, &next, etag)
	if ctx.Err() != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.mu.now, l.mu.etag, l.mu.until = next, etag, deadline{sent.Add(next.TTL.duration())}
	case errors.Is(err, ErrNone):
		l.mu.lost = &deletedError{l.place.ref(l.name).String()}
	case errors.Is(err, ErrChanged), errors.Is(err, ErrExists):
		l.mu.lost = ErrLost
	default:
		l.mu.lost = fmt.Errorf("the lease of this job cannot be renewed: %w", err)
	}
	close(l.mu.changed)
	l.mu.changed = make(chan struct{})
	return l.mu.lost == nil
}

// ErrStopped is the answer of Hold where stop was closed.
var ErrStopped = errors.New("stopped while the lease of the job could not be renewed")

// Hold returns nil while this process can believe to hold the lease. Where that time has
// passed, as after a sleep, it waits until the lease was renewed, or is known to be
// lost; where stop is closed it waits no more.
func (l *Lease) Hold(ctx context.Context, stop <-chan struct{}) error {
	for {
		l.mu.Lock()
		lost, until, changed := l.mu.lost, l.mu.until, l.mu.changed
		l.mu.Unlock()
		if lost != nil {
			return lost
		}
		if !until.passed() {
			return nil
		}
		select {
		case <-changed:
		case <-l.ended:
			return ErrLost // given back
		case <-stop:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Lost waits until the lease is known to be lost, and says why; nil where it was given back
// before, or the context has ended. Whoever sends nothing for hours learns it by that.
func (l *Lease) Lost(ctx context.Context) error {
	for {
		l.mu.Lock()
		lost, changed := l.mu.lost, l.mu.changed
		l.mu.Unlock()
		if lost != nil {
			return lost
		}
		select {
		case <-changed:
		case <-l.ended:
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.mu.lost
		case <-ctx.Done():
			return nil
		}
	}
}

// Taken says whether another process may have the lease by now. One that was deleted nobody
// else was seen to have.
func (l *Lease) Taken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, deleted := errors.AsType[*deletedError](l.mu.lost); deleted {
		return false
	}
	return l.mu.lost != nil || l.mu.until.passed()
}

// Holding is the lease as it was last written.
func (l *Lease) Holding() Holding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.now
}

// Release gives the lease back, so that the next process need not wait. One that was
// lost is left alone.
func (l *Lease) Release(ctx context.Context) error {
	l.stop()
	<-l.ended
	l.mu.Lock()
	free, etag, lost := l.mu.now, l.mu.etag, l.mu.lost
	l.mu.Unlock()
	if lost != nil {
		return nil
	}
	free.Free = true
	for {
		_, err := l.put(ctx, &free, etag)
		if !errors.Is(err, ErrChanged) && !errors.Is(err, ErrExists) {
			return err
		}
		// A renewal that was under way, or another process by now.
		there, is, err := readHolding(ctx, l.place, l.name)
		if err != nil || there.Owner != free.Owner || there.Free {
			return nil
		}
		etag = is
	}
}
