package checkpoint

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestPowerCutAtEverySync cuts the power before each sync of a job's life, with
// nothing, some and all of the unsynced writes surviving, and checks what is
// left.
func TestPowerCutAtEverySync(t *testing.T) {
	mem := vfs.NewCrashableMem()
	w := newWorld()
	type cut struct {
		fs *vfs.MemFS
		w  *world
	}
	var mu sync.Mutex
	var cuts []cut
	syncs := 0
	rng := rand.New(rand.NewPCG(5, 6))
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpRename:
			mu.Lock()
			defer mu.Unlock()
			if syncs++; testing.Short() && syncs%3 > 0 {
				return nil
			}
			known := w.copy() // before the clone: what is known here must be in it
			for _, percent := range []int{0, 50, 100} {
				cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}
				clone := mem.CrashClone(cfg)
				after := w.copy() // what was asked meanwhile may be in it too
				after.acked, after.uploads, after.complete = known.acked, known.uploads, known.complete
				cuts = append(cuts, cut{clone, after})
			}
		}
		return nil
	}))
	must(t, w.process(t, fs, 1))
	for i, c := range cuts {
		if t.Failed() {
			t.Fatalf("at cut %d of %d", i, len(cuts))
		}
		// Before the first sync of the directory there may be no store at all.
		c.w.check(t, c.fs)
	}
	t.Logf("%d power cuts", len(cuts))
	if len(cuts) < 100 {
		t.Errorf("only %d power cuts", len(cuts))
	}
	w.check(t, mem)
}

// seeds are so many, and fewer under the race detector: from one to the next the
// goroutines are the same.
func seeds(all uint64) uint64 {
	if testing.Short() {
		return max(1, all/3)
	}
	return all
}

// TestManyLives runs a job through many crashes, each in the state that the one
// before has left, until all is done.
func TestManyLives(t *testing.T) {
	crashes, seeds := 0, seeds(8)
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 8))
		mem := vfs.NewCrashableMem()
		w := newWorld()
		lives := 0
		for ; ; lives++ {
			var syncs atomic.Int64
			deadline := int64(rng.IntN(40) + 3)
			var after atomic.Pointer[world]
			var clone *vfs.MemFS
			cloneRNG := rand.New(rand.NewPCG(seed, uint64(lives)))
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData {
					return nil
				}
				if syncs.Add(1) == deadline {
					known := w.copy()
					clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed*13) % 101, RNG: cloneRNG})
					then := w.copy()
					then.acked, then.uploads, then.complete = known.acked, known.uploads, known.complete
					after.Store(then)
				}
				if after.Load() != nil {
					return syscall.EIO // this process is dead
				}
				return nil
			}))
			err := w.process(t, fs, seed*1000+uint64(lives))
			if after.Load() == nil {
				must(t, err)
				break
			}
			mem, w = clone, after.Load()
			w.settleDoubts(t, mem)
			if t.Failed() {
				t.Fatalf("seed %d, life %d, which ended with: %v", seed, lives, err)
			}
			if lives > 200 {
				t.Fatal("it never ends")
			}
		}
		w.check(t, mem)
		crashes += lives
	}
	if crashes < int(3*seeds) {
		t.Errorf("only %d crashes", crashes)
	}
}

// settleDoubts reads which of the outcomes that were never acknowledged made it:
// from now on they are the store's word. A copy is opened, so that the crash's
// state stays as it is for the next life.
func (w *world) settleDoubts(t *testing.T, mem *vfs.MemFS) {
	t.Helper()
	s, err := Open("job", memOptions(mem))
	must(t, err)
	outcomes, _ := w.checkRows(t, s)
	w.acked, w.recorded = outcomes, maps.Clone(outcomes)
	for seq := range w.uploads {
		if u, _, found, err := s.Upload(seq); found && err == nil {
			w.uploads[seq] = u.ID
		}
	}
	s.abandon() // the next life finds it as after one more crash
}

// TestDiskFull lets every write of a job fail in turn, as a full disk does, and
// every one after it. The job ends with the reason and without a hang; after
// room was made, nothing acknowledged is lost and it can be finished.
func TestDiskFull(t *testing.T) {
	for name, kinds := range map[string][]errorfs.OpKind{
		"write":  {errorfs.OpFileWrite, errorfs.OpFilePreallocate},
		"create": {errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpRename, errorfs.OpOpenDir},
		"sync":   {errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo},
	} {
		t.Run(name, func(t *testing.T) {
			failures := 0
			for k := int64(1); ; k = k*9/8 + 1 {
				mem := vfs.NewMem()
				w := newWorld()
				var ops atomic.Int64
				full := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if slices.Contains(kinds, op.Kind) && ops.Add(1) >= k {
						return syscall.ENOSPC
					}
					return nil
				}))
				err := w.process(t, full, uint64(k))
				if ops.Load() < k {
					must(t, err)
					break
				}
				failures++
				var disk *DiskError
				if !errors.As(err, &disk) || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("write %d fails, and the job says %v", k, err)
				}
				if !strings.Contains(disk.Error(), "make room") {
					t.Errorf("the message does not help: %v", disk)
				}
				w.check(t, mem)
			}
			if failures < 5 {
				t.Errorf("only %d failures", failures)
			}
		})
	}
}

// TestDiskUnreadable lets every read of a table fail from some moment on, for
// Next and for compactions. The job ends with the reason, or without noticing,
// but never hangs or takes the process with it; what was written is there.
func TestDiskUnreadable(t *testing.T) {
	failures := 0
	for k := int64(1); ; k = k*9/8 + 1 {
		mem := vfs.NewMem()
		w := newWorld()
		var ops atomic.Int64
		bad := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileReadAt && strings.HasSuffix(op.Path, ".sst") && ops.Add(1) >= k {
				return syscall.EIO
			}
			return nil
		}))
		err := w.process(t, bad, uint64(k))
		if ops.Load() < k {
			must(t, err)
			break
		}
		if err != nil {
			failures++
			var disk *DiskError
			if !errors.As(err, &disk) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("read %d fails, and the job says %v", k, err)
			}
		}
		w.check(t, mem)
	}
	if failures < 3 {
		t.Errorf("only %d failures were noticed", failures)
	}
}
