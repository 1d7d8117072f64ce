package object

import (
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Unfit is why nothing can be done with an object whatever is wanted of it, as its
// source has found out: a symbolic link, a name that no key can have. The zero value is
// of every object that something can be done with.
type Unfit struct {
	Reason  Reason
	Message string
}

// PartialName begins the names of the files that a download writes before they are
// whole. No file that comes from elsewhere is given, or taken for, such a name.
const PartialName = ".reseal-part-"

// MaxKey is how many bytes S3 lets a key have.
const MaxKey = 1024

// maxNameBytes is that of one component, on every file system that is in use.
const maxNameBytes = 255

// IsFolder says whether what a Ref names as its bucket is a local folder, by its full
// path: no bucket has such a name.
func IsFolder(bucket string) bool { return filepath.IsAbs(bucket) }

// KeyName says why a file of a folder cannot become an object: path is below the
// folder, with slashes, and prefix what its key has before that.
func KeyName(prefix, path string) Unfit {
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case !utf8.ValidString(path):
		return badName("its name is not valid UTF-8, as every key of S3 is")
	case len(prefix)+len(path) > MaxKey:
		return badName("its key would have more than 1,024 bytes")
	case strings.HasPrefix(name, PartialName):
		return badName("it has the name of a file that a download of reseal did not end")
	}
	return Unfit{}
}

// FileName says why an object cannot become a file: key is its own below the folder.
// windows adds what only file systems there cannot carry.
func FileName(key string, windows bool) Unfit {
	switch {
	case key == "" || strings.HasSuffix(key, "/"):
		return badName("its key ends in a slash, as those do that stand for a folder")
	case strings.HasPrefix(key, "/"):
		return badName("its key begins with a slash, and would name a file elsewhere")
	case strings.ContainsRune(key, 0):
		return badName("its key holds a zero byte")
	}
	for name := range strings.SplitSeq(key, "/") {
		switch {
		case name == "":
			return badName("its key has an empty component, which no path keeps")
		case name == "." || name == "..":
			return badName("its key has the component " + name + ", which names another folder")
		case len(name) > maxNameBytes:
			return badName("a component of its key has more than 255 bytes")
		case strings.HasPrefix(name, PartialName):
			return badName("a component of its key begins as the files do that a download writes before they are whole")
		case windows && !windowsName(name):
			return badName("Windows has no such name")
		}
	}
	return Unfit{}
}

func badName(message string) Unfit { return Unfit{ReasonName, message} }

// windowsName says whether Windows can have a file of that name.
func windowsName(name string) bool {
	if strings.ContainsAny(name, `<>:"\|?*`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") || !utf8.ValidString(name) {
		return false
	}
	for _, c := range name {
		if c < ' ' {
			return false
		}
	}
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	base = strings.TrimRight(base, " ")
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return false
	}
	device := strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")
	return !(device && utf8.RuneCountInString(base) == 4 && strings.ContainsAny(base[3:], "0123456789¹²³"))
}
