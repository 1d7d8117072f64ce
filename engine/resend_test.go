package engine

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/object"
)

// inSentParts rewrites in parts whatever is not under the target.
type inSentParts struct{ always }

func (c inSentParts) Choose(o *object.Object, a *object.Attributes) object.Choice {
	choice := c.always.Choose(o, a)
	if choice.Operation == object.OpRewrite {
		choice.Route, choice.SourceParts = object.RouteSend, o.ChecksumType == object.Composite
		if a == nil {
			return object.Choice{Operation: object.OpUndecided}
		}
	}
	return choice
}

// sentText is what object i holds, made once for all tests.
func sentText(i int, size int64) []byte {
	text, ok := sentTexts.Load([2]int64{int64(i), size})
	if !ok {
		text, _ = sentTexts.LoadOrStore([2]int64{int64(i), size}, bytes.Repeat(fmt.Appendf(nil, "%16d", i), int(size/16)))
	}
	return text.([]byte)
}

var sentTexts sync.Map

// wholeParts are those of an object beside the little that is its last one. The race
// detector looks at every byte, which takes most of its time.
func wholeParts() int64 {
	if testing.Short() {
		return 2
	}
	return 4
}

// resends is a store of n large objects, and a run that rewrites them in parts.
func resends(n int) (*memStore, *memJournal, Config) { return resendsOf(n, wholeParts()) }

// resendsIn5 is the same of five parts an object, for what happens between two of them.
func resendsIn5(n int) (*memStore, *memJournal, Config) { return resendsOf(n, 4) }

func resendsOf(n int, whole int64) (*memStore, *memJournal, Config) {
	s := newMemStore(0)
	for i := range n {
		key := fmt.Sprintf("k%06d", i)
		s.put(key, sentText(i, whole*carry.MinPartSize+16))
		s.mu.objects[key].attrs.Metadata = map[string]string{"owner": "\xe4"}
	}
	j := planOf(s, false)
	cfg := memConfig(s, j, object.OpRewrite)
	cfg.Chooser = inSentParts{cfg.Chooser.(always)}
	cfg.PartSize = carry.MinPartSize
	cfg.Caps.GetTagging = object.Yes
	return s, j, cfg
}

// checkResent wants every object under the target, written once, with its bytes.
func checkResent(t *testing.T, s *memStore, j *memJournal, n int) {
	t.Helper()
	checkKept(t, s, j, n, func(o *memObject) bool { return o.attrs.Metadata["owner"] == "\xe4" })
	for i := range n {
		if !bytes.Equal(s.mu.objects[fmt.Sprintf("k%06d", i)].body, sentText(i, j.mu.tasks[i].Object.Size)) {
			t.Errorf("object %d has other bytes", i)
		}
	}
	for seq, o := range j.mu.outcomes {
		if o.Operation != object.OpRewrite || o.After.Type != object.SSEKMS || o.ETagAfter == o.ETagBefore {
			t.Errorf("%d: %+v", seq, o)
		}
	}
}

func TestResendOnce(t *testing.T) {
	s, j, cfg := resends(3)
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	checkResent(t, s, j, 3)
	want := 3 * (int(wholeParts()) + 1)
	if gets, parts := s.count(object.ReqGet), s.count(object.ReqCopyPart); gets != want || parts != want {
		t.Errorf("%d GETs and %d parts for three objects, want %d", gets, parts, want)
	}
}

// TestResendAfterFaults: each request meets each fault, once for every key.
func TestResendAfterFaults(t *testing.T) {
	for _, kind := range []object.RequestKind{object.ReqGet, object.ReqCreateUpload, object.ReqCopyPart, object.ReqComplete} {
		for _, class := range []object.Class{object.ClassTransient, object.ClassThrottled} {
			for _, applied := range []bool{false, true} {
				t.Run(fmt.Sprint(kind, class, applied), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s, j, cfg := resends(2)
						s.fault = oncePerKey(kind, classError(class), applied)
						err := Run(t.Context(), cfg)
						if err != nil {
							t.Fatal(err)
						}
						if kind == object.ReqCreateUpload && applied { // nobody knows it; it is named and stays
							clear(s.mu.uploads)
						}
						checkResent(t, s, j, 2)
					})
				})
			}
		}
	}
}

// TestResendAfterDeath: the process dies at any time. The next begins the object anew
// and leaves no upload, and nothing is written twice.
func TestResendAfterDeath(t *testing.T) {
	for _, after := range []time.Duration{500, 1500, 2500, 3500, 4500, 5500, 6500, 7500, 8500} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := resendsIn5(2)
				s.delay = time.Second
				cfg.PartsInFlight = 2
				ctx, cancel := context.WithTimeout(t.Context(), after*time.Millisecond)
				defer cancel()
				if err := Run(ctx, cfg); err == nil {
					t.Fatal("it ended in time")
				}
				j.reopen()
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				checkResent(t, s, j, 2)
			})
		})
	}
}

// TestResendNamesLateUploads: the first creation got no answer and takes effect when the
// second one's parts are sent, and then the process dies. The next names it.
func TestResendNamesLateUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j, cfg := resends(1)
		s.delay = time.Second
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.fault = lateUpload(s, cancel)
		if err := Run(ctx, cfg); err == nil {
			t.Fatal("it ended in time")
		}
		s.fault = nil
		j.reopen()
		var log bytes.Buffer
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "upload=late") {
			t.Errorf("no log names the late upload: %s", log.String())
		}
		delete(s.mu.uploads, "late")
		checkResent(t, s, j, 1)
	})
}

// TestResendKeepsOthersWrites: another client overwrites each object while its parts
// are read, or before its upload is completed. What it wrote stays and is encrypted.
func TestResendKeepsOthersWrites(t *testing.T) {
	for _, kind := range []object.RequestKind{object.ReqGet, object.ReqCopyPart, object.ReqComplete} {
		t.Run(kind.String(), func(t *testing.T) {
			s, j, cfg := resends(3)
			var hit sync.Map
			s.fault = func(k object.RequestKind, key string) (error, bool) {
				if k == kind {
					if _, again := hit.LoadOrStore(key, true); !again {
						s.put(key, []byte("newer "+key))
					}
				}
				return nil, true
			}
			if err := Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			if got := j.states(); got[object.Done] != 3 || len(s.mu.uploads) > 0 || len(j.mu.uploads) > 0 {
				t.Fatalf("%v; %d uploads open, %d in the journal", got, len(s.mu.uploads), len(j.mu.uploads))
			}
			for key, o := range s.mu.objects {
				if string(o.body) != "newer "+key || o.Encryption.Type != object.SSEKMS {
					t.Errorf("%s holds %.20q under %v", key, o.body, o.Encryption.Type)
				}
			}
		})
	}
}

// TestResendKeepsOthersDetails: what no condition notices is looked at again before the
// upload is completed.
func TestResendKeepsOthersDetails(t *testing.T) {
	for name, a := range alterations {
		t.Run(name, func(t *testing.T) {
			s, j, cfg := resends(3)
			s.alterAtFirstPart(a.change)
			if err := Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			checkKept(t, s, j, 3, a.kept)
		})
	}
}

// bitRot gives one wrong bit of every object, as a disk does that nobody checks.
type bitRot struct{ *memStore }

func (b bitRot) ReadRange(ctx context.Context, r *object.RangeRequest) error {
	err := b.memStore.ReadRange(ctx, r)
	if r.First == 0 {
		r.Into[7] ^= 1
	}
	return err
}

// TestResendComparesTheChecksum: bytes that do not have the checksum that the store
// shows of the object never take its place, whether it is one of the whole or of parts.
func TestResendComparesTheChecksum(t *testing.T) {
	half := wholeParts()/2*carry.MinPartSize + 8
	for _, algorithm := range []string{"CRC32", "CRC32C", "CRC64NVME", "composite SHA256"} {
		for _, rot := range []bool{false, true} {
			s, j, cfg := resends(1)
			o := s.mu.objects["k000000"]
			o.ChecksumAlgorithm, o.ChecksumType = algorithm, object.FullObject
			sum := object.Checksum(algorithm, o.body)
			if alg, ok := strings.CutPrefix(algorithm, "composite "); ok {
				o.ChecksumAlgorithm, o.ChecksumType, o.attrs.PartSizes = alg, object.Composite, []int64{half, half}
				sum = object.JoinedChecksum(alg, object.Composite, []object.Part{
					{Size: half, Checksum: object.Checksum(alg, o.body[:half])}, {Size: half, Checksum: object.Checksum(alg, o.body[half:])}})
			}
			o.attrs.Checksums = map[string]string{o.ChecksumAlgorithm: sum}
			if rot {
				cfg.Store.Reader, cfg.Source = bitRot{s}, Store{}
			}
			if err := Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			got := j.states()
			switch now := s.mu.objects["k000000"]; {
			case rot && (got[object.Failed] != 1 || now.writes > 0 || len(s.mu.uploads) > 0):
				t.Errorf("%s: %v, written %d times, %d uploads", algorithm, got, now.writes, len(s.mu.uploads))
			case !rot:
				checkResent(t, s, j, 1)
			}
		}
	}
}

// inOtherParts does not keep the boundaries of a composite checksum, as where its loss is
// accepted.
type inOtherParts struct{ inSentParts }

func (c inOtherParts) Choose(o *object.Object, a *object.Attributes) object.Choice {
	choice := c.inSentParts.Choose(o, a)
	choice.SourceParts = false
	return choice
}

// TestResendInOtherParts: a composite checksum of parts that are not kept is no reason to
// doubt the bytes.
func TestResendInOtherParts(t *testing.T) {
	s, j, cfg := resends(1)
	cfg.Chooser = inOtherParts{cfg.Chooser.(inSentParts)}
	o := s.mu.objects["k000000"]
	o.ChecksumAlgorithm, o.ChecksumType = "CRC32C", object.Composite
	o.attrs.Checksums = map[string]string{"CRC32C": object.JoinedChecksum("CRC32C", object.Composite, []object.Part{{Size: o.Size, Checksum: object.Checksum("CRC32C", o.body)}})}
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	checkResent(t, s, j, 1)
}

// TestResendHoldsLittle: however many workers there are, the bytes that are held at a
// time stay within the run's room.
func TestResendHoldsLittle(t *testing.T) {
	r := newRoom(4 << 20)
	var held, most atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			b, done, err := r.hold(t.Context(), 1<<20+1)
			if err != nil {
				t.Error(err)
				return
			}
			for now := held.Add(int64(cap(b))); ; {
				if m := most.Load(); now <= m || most.CompareAndSwap(m, now) {
					break
				}
			}
			held.Add(-int64(cap(b)))
			done()
		})
	}
	wg.Wait()
	if most.Load() > 4<<20 {
		t.Errorf("%d bytes were held", most.Load())
	}
	for n := int64(1); n < 512<<20; n = n*5/4 + 3 {
		class, size := classOf(n)
		if other, of := classOf(size); size < n || class >= len(r.classes) || other != class || of != size {
			t.Errorf("%d bytes get a buffer of %d, class %d; that again one of %d", n, size, class, of)
		}
	}
}
