package object

import "testing"

func TestIsThrowaway(t *testing.T) {
	for key, want := range map[string]bool{
		".reseal-canary-f1971d9b436f85682533ee5c-06-encrypted-copy":        true,
		"a/b.reseal-canary-f1971d9b436f85682533ee5c-104-plain-%41":         true,
		".reseal-canary-f1971d9b436f85682533ee5c-":                         false,
		".reseal-canary-f1971d9b436f85682533ee5c":                          false,
		".reseal-canary-F1971D9B436F85682533EE5C-06-copy":                  false,
		".reseal-canary-of-mine":                                           false,
		"reseal-canary-f1971d9b436f85682533ee5c-06-copy":                   false,
		".reseal-canary-f1971d9b436f85682533ee5c-06-x/.reseal-canary-mine": false,
		"": false,
	} {
		if got := IsThrowaway(key); got != want {
			t.Errorf("%q: %t", key, got)
		}
	}
}
