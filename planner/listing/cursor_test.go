package listing

import (
	"bytes"
	"errors"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

func FuzzPlace(f *testing.F) {
	for _, p := range []place{
		{Open: true}, {From: "a", Pos: "a", To: "b"}, {From: "a", Pos: "é\x00", Open: true},
		{Pos: "k", To: "z", MidKey: "l", MidVersion: "v"}, {Pos: "k", Open: true, MidKey: "l"},
	} {
		f.Add(p.encode())
	}
	f.Add([]byte{placeVersion, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePlace(b)
		if err != nil {
			if !errors.Is(err, ErrCursor) {
				t.Errorf("%v is not ErrCursor", err)
			}
			return
		}
		if again := p.encode(); !bytes.Equal(again, b) {
			t.Errorf("%x was read as %+v, which is written as %x", b, p, again)
		}
		_, _, _ = new(Source).restore([]object.Cursor{{Range: rangeID(3), Position: b}})
	})
}

func TestRestoreRefusesWhatDoesNotTile(t *testing.T) {
	cursor := func(n uint64, p place, finished bool) object.Cursor {
		return object.Cursor{Range: rangeID(n), Position: p.encode(), Finished: finished}
	}
	first := place{Pos: "c", To: "m"}
	second := place{From: "m", Pos: "m", Open: true}
	for name, cursors := range map[string][]object.Cursor{
		"a gap":            {cursor(0, first, false), cursor(1, place{From: "n", Pos: "n", Open: true}, false)},
		"an overlap":       {cursor(0, first, false), cursor(1, place{From: "l", Pos: "l", Open: true}, false)},
		"no beginning":     {cursor(1, second, false)},
		"no end":           {cursor(0, first, true)},
		"two ends":         {cursor(0, place{Open: true}, true), cursor(1, place{Open: true}, false)},
		"another source":   {{Range: "file/1", Position: first.encode()}},
		"an odd number":    {{Range: "list/01", Position: (&place{Open: true}).encode()}},
		"nothing in it":    {{Range: rangeID(0)}},
		"something behind": {{Range: rangeID(0), Position: append((&place{Open: true}).encode(), 0)}},
		"backwards":        {{Range: rangeID(0), Position: (&place{From: "b", Pos: "a", Open: true}).encode()}},
	} {
		if _, _, err := new(Source).restore(cursors); !errors.Is(err, ErrCursor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tiles, whole, err := new(Source).restore([]object.Cursor{cursor(7, second, false), cursor(2, first, true),
		{Range: wholeID, Position: (&place{Pos: "d", Open: true}).encode()}})
	if err != nil || len(tiles) != 2 || !tiles[0].finished || tiles[1].number != 7 || tiles[1].Pos != "m" || whole.Pos != "d" {
		t.Errorf("%+v, %+v, %v", tiles, whole, err)
	}
}
