package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleOptions are for a store that is written in order, read in order, and
// shares its machine with the work: small memory, one compaction at a time.
func (s *Store) pebbleOptions(create, readOnly bool) *pebble.Options {
	log := &pebbleLog{s}
	o := &pebble.Options{
		FS:                          s.gate,
		ReadOnly:                    readOnly,
		ErrorIfNotExists:            !create, // or a damaged store would be taken for a new one
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      log,
		CacheSize:                   4 << 20,
		MemTableSize:                s.opts.memTable,
		MemTableStopWritesThreshold: 3,
		MaxOpenFiles:                256,
		L0CompactionThreshold:       12, // half the compactions of 4; a plan is read in order, whatever the number of files
		L0StopWritesThreshold:       32,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		DisableTableStats:           true,
		EventListener: &pebble.EventListener{
			BackgroundError: s.backgroundError,
			DataCorruption:  func(i pebble.DataCorruptionInfo) { s.fail(damageOf(i.Details)) },
		},
	}
	o.Experimental.SpanPolicyFunc = ownTables
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return o
}

// ownTables ends tables where other records begin: tasks have tables of their own, and
// outcomes have. Those of a plan, which is written in order, then overlap no others,
// so that Pebble moves them down its levels as they are. In one table with the
// cursors, which each flush writes anew, every task was written again and again.
func ownTables(start []byte) (pebble.SpanPolicy, []byte, error) {
	for _, border := range tableBorders {
		if bytes.Compare(start, border) < 0 {
			return pebble.SpanPolicy{}, border, nil
		}
	}
	return pebble.SpanPolicy{}, nil, nil
}

// tableBorders are where outcomes and tasks begin, and where tasks end.
var tableBorders = [][]byte{[]byte(outcomePrefix), []byte(planPrefix), prefixEnd(planPrefix)}

// backgroundError ends a compaction that cannot read what it needs; one that
// cannot write does not get here (see gate). Pebble would run it again at once
// and for ever. Its goroutine holds locks, all with deferred unlocks, so that it
// has to end rather than be left standing.
func (s *Store) backgroundError(err error) {
	s.fail(err)
	runtime.Goexit()
}

// pebbleLog takes Pebble's messages. What Pebble means to be the end of the
// process becomes the end of the store.
type pebbleLog struct{ s *Store }

func (l *pebbleLog) Infof(format string, args ...any) {
	if l.s.opts.Logger.Enabled(context.Background(), slog.LevelDebug) {
		l.s.opts.Logger.Debug("pebble", "message", fmt.Sprintf(format, args...))
	}
}

func (l *pebbleLog) Errorf(format string, args ...any) {
	l.s.opts.Logger.Error("pebble", "message", fmt.Sprintf(format, args...))
}

func (l *pebbleLog) Fatalf(format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok { // keep ENOSPC and its like findable
			l.s.fail(err)
			return
		}
	}
	l.s.fail(fmt.Errorf(format, args...))
}
