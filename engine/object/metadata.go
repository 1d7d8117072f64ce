package object

import (
	"maps"
	"mime"
	"unicode/utf8"
)

// maxMetadata is how many bytes of names and values S3 takes as user metadata.
const maxMetadata = 2 << 10

// SentMetadata is user metadata as a request is to carry it again. A HEAD shows
// what is not ASCII as words of RFC 2047, which are up to four times as long as the
// text that they stand for, so that a store may show more than it takes. They are
// sent as they were shown where they fit; where they do not, as the UTF-8 that they
// stand for, which is what was sent when the object was written.
func SentMetadata(shown map[string]string) map[string]string {
	if sizeOfMetadata(shown) <= maxMetadata {
		return shown
	}
	sent := maps.Clone(shown)
	var words mime.WordDecoder
	for name, value := range shown {
		if text, err := words.DecodeHeader(value); err == nil && fitsHeader(text) {
			sent[name] = text
		}
	}
	return sent
}

// HasRoomFor says whether S3 still takes the user metadata when this is added to it.
// A store that holds more than S3 takes has room.
func HasRoomFor(name, value string, shown map[string]string) bool {
	more := maps.Clone(shown)
	if more == nil {
		more = map[string]string{}
	}
	more[name] = value
	return sizeOfMetadata(SentMetadata(more)) <= maxMetadata || sizeOfMetadata(SentMetadata(shown)) > maxMetadata
}

func sizeOfMetadata(m map[string]string) (n int) {
	for name, value := range m {
		n += len(name) + len(value)
	}
	return n
}

// fitsHeader says whether a header can carry a text as it is.
func fitsHeader(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(text) && (text == "" || text[0] != ' ' && text[len(text)-1] != ' ')
}
