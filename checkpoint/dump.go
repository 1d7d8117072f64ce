package checkpoint

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Dump writes every record as a line of text, for people. The form may change.
func (s *Store) Dump(w io.Writer) error {
	out := bufio.NewWriter(w)
	err := s.scan("", func(key, value []byte) error {
		text, err := s.describe(key, value)
		if err != nil {
			text = fmt.Sprintf("%d bytes: %v", len(value), err) // the rest may still be of use
		}
		_, err = fmt.Fprintf(out, "%s %s\n", dumpKey(key), text)
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

func dumpKey(key []byte) string {
	if len(key) < 2 {
		return fmt.Sprintf("%q", key)
	}
	switch prefix := string(key[:2]); prefix {
	case planPrefix, outcomePrefix, retryPrefix, uploadPrefix:
		seq, ok := seqOf(key[:min(10, len(key))])
		switch {
		case ok && len(key) == 10:
			return fmt.Sprintf("%s%d", prefix, seq)
		case ok && len(key) == 15:
			return fmt.Sprintf("%s%d/%d", prefix, seq, binary.BigEndian.Uint32(key[11:]))
		}
	}
	if rest, ok := strings.CutPrefix(string(key), dictPrefix); ok && len(rest) == 8 {
		return fmt.Sprintf("%s%d", dictPrefix, binary.BigEndian.Uint64([]byte(rest)))
	}
	return strings.Trim(fmt.Sprintf("%q", key), `"`)
}

func (s *Store) describe(key, value []byte) (string, error) {
	seq, _ := seqOf(key)
	switch string(key[:min(2, len(key))]) {
	case planPrefix:
		var t object.Task
		err := decodeTask(s.dict, seq, value, &t)
		return describeTask(&t), err
	case outcomePrefix:
		var o object.Outcome
		err := decodeOutcome(s.dict, seq, value, &o)
		return describeOutcome(&o), err
	case cursorPrefix:
		c, err := decodeCursor("", value)
		return fmt.Sprintf("position %q, finished %t", c.Position, c.Finished), err
	case retryPrefix:
		if len(value) > 1 && value[1] != 0 {
			return "to be taken, never sent", nil
		}
		return "to be taken again", nil
	case uploadPrefix:
		if len(key) == 15 {
			p, err := decodePart(int(binary.BigEndian.Uint32(key[11:])), value)
			return fmt.Sprintf("part %d, %d bytes, ETag %q", p.Number, p.Size, p.ETag), err
		}
		u, err := decodeUpload(s.dict, seq, value)
		return fmt.Sprintf("%q, upload %q of ETag %q, %d bytes in parts of %v", u.Target, u.ID, u.ETag, u.Size, u.PartSizes), err
	}
	return s.describeMeta(string(key), value)
}

func (s *Store) describeMeta(key string, value []byte) (string, error) {
	r := decoder{b: value, d: s.dict}
	switch {
	case strings.HasPrefix(key, dictPrefix):
		return fmt.Sprintf("%q", value), nil
	case strings.HasPrefix(key, metaPrefix):
		r.version()
		return fmt.Sprintf("%q", r.b), r.err
	}
	switch key {
	case keyState:
		st, err := decodeState(s.dict, value)
		if err != nil {
			return "", err
		}
		settled, lanes := st.counts.settled(), ""
		for _, l := range st.lanes {
			lanes += fmt.Sprintf("not handed %d to %d, in doubt below %d, ", l.handed, l.end, l.marked)
		}
		return fmt.Sprintf("handed %d, %sholes %d, settled %d objects %d bytes, states %v", st.handed, lanes, st.holes, settled.Objects, settled.Bytes, st.counts.states), nil
	case keyFormat, keyDispatched, keyTurn:
		r.version()
		return fmt.Sprint(r.uint()), r.err
	case keyPlan:
		r.version()
		t := r.tally()
		return fmt.Sprintf("%d objects, %d bytes", t.Objects, t.Bytes), r.err
	case keyComplete:
		return "the plan is complete", nil
	}
	return fmt.Sprintf("%x", value), nil
}

func describeTask(t *object.Task) string {
	s := fmt.Sprintf("%q %d bytes, ETag %q, %s", t.Object.Ref.String(), t.Object.Size, t.Object.ETag, t.Object.Encryption.Type)
	if k := t.Object.Encryption.KMSKeyID; k != "" {
		s += " " + k
	}
	if t.Operation != object.OpUndecided {
		s += fmt.Sprintf(", operation %q, already %t, reason %q", t.Operation, t.Already, t.Reason)
	}
	return s
}

func describeOutcome(o *object.Outcome) string {
	s := fmt.Sprintf("%s %s %s", o.State, o.Operation, o.FinishedAt.Format("2006-01-02T15:04:05.000Z"))
	if o.Reason != "" || o.ErrorCode != "" {
		s += fmt.Sprintf(", reason %q, error %q, HTTP %d: %q", o.Reason, o.ErrorCode, o.HTTPStatus, o.Message)
	}
	return s + fmt.Sprintf(", %s %s to %s %s, ETag %q to %q, request %q, %d attempts",
		o.Before.Type, o.Before.KMSKeyID, o.After.Type, o.After.KMSKeyID, o.ETagBefore, o.ETagAfter, o.RequestID, o.Attempts)
}
