package planner

import (
	"fmt"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// ClientSideFilter is one entry of --only-client-side: a version of the envelope, none,
// instruction, or with wrap= a wrap by the name that the report shows.
type ClientSideFilter string

// ParseClientSideFilter reads one word of --only-client-side: none, v1, v2, v3,
// instruction or wrap=NAME.
func ParseClientSideFilter(word string) (ClientSideFilter, error) {
	f := ClientSideFilter(strings.TrimSpace(word))
	switch f {
	case "none", "v1", "v2", "v3", "instruction":
		return f, nil
	}
	if name, is := strings.CutPrefix(string(f), "wrap="); is && name != "" && !strings.ContainsAny(name, " ,") {
		return f, nil
	}
	return "", fmt.Errorf("%q is no envelope to select by: use none, v1, v2, v3, instruction or wrap=NAME", word)
}

// matches compares with what the metadata of an object shows. An envelope of version 1
// or 2 in an instruction file leaves no mark on its object, which is none; the file is
// known by its mark or its name.
func (f ClientSideFilter) matches(o *object.Object) bool {
	words := strings.Fields(string(o.ClientSide))
	wrap, byWrap := strings.CutPrefix(string(f), "wrap=")
	switch {
	case len(words) == 0:
		return false
	case byWrap:
		return len(words) > 1 && strings.EqualFold(words[1], wrap)
	case f == "instruction":
		return o.ClientSide == object.InstructionFile || words[len(words)-1] == "instruction" || o.ClientSide == object.NoEnvelope && strings.HasSuffix(o.Key, object.InstructionSuffix)
	}
	return words[0] == string(f)
}

func (s *Selection) matchClientSide(o *object.Object) Verdict {
	if len(s.OnlyClientSide) == 0 {
		return Yes
	}
	if o.ClientSide == "" {
		return Inspect
	}
	for _, f := range s.OnlyClientSide {
		if f.matches(o) {
			return Yes
		}
	}
	return No
}
