package checkpoint

import "encoding/binary"

// formatVersion is the layout of README.md.
const formatVersion = 1

// The keys of README.md.
const (
	keyFormat     = "m/format"
	keyJob        = "m/job"
	keyPlan       = "m/plan"
	keyComplete   = "m/complete"
	keyDispatched = "m/dispatched"
	keyState      = "m/state"
	keyTurn       = "m/turn"
	dictPrefix    = "m/d/"
	metaPrefix    = "m/x/"
	cursorPrefix  = "c/"
	planPrefix    = "p/"
	outcomePrefix = "o/"
	retryPrefix   = "r/"
	uploadPrefix  = "u/"
)

// seqKey is prefix and the number, so that order of keys is order of numbers.
func seqKey(prefix string, seq uint64) []byte {
	return appendSeqKey(make([]byte, 0, len(prefix)+8), prefix, seq)
}

func appendSeqKey(b []byte, prefix string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, prefix...), seq)
}

// seqOf reads the number behind a two-byte prefix.
func seqOf(key []byte) (uint64, bool) {
	if len(key) != 10 {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[2:]), true
}

// partKey is u/<seq>/<part>; it sorts behind u/<seq>.
func partKey(seq uint64, number int) []byte {
	return binary.BigEndian.AppendUint32(append(seqKey(uploadPrefix, seq), '/'), uint32(number))
}

// prefixEnd is the first key after all that begin with prefix, whose last byte
// is never 0xff here.
func prefixEnd(prefix string) []byte {
	b := []byte(prefix)
	b[len(b)-1]++
	return b
}
