package engine

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// leastHeld is what a run holds of objects' bytes however little memory it may use: with
// less it could not hold one of those that are rewritten in one piece.
const leastHeld = 16 << 20

// mayHold is how many bytes of objects a run holds at a time that would hold so many: a
// quarter of the memory that the process may use, since the collector lets it grow to twice
// of them, and all else takes some 50 MB. Else a container with little memory ends it, again and
// again.
func mayHold(bytes int64) int64 {
	limit := min(debug.SetMemoryLimit(-1), groupLimit(os.DirFS("/")))
	return min(bytes, max(limit/4, leastHeld))
}

// groupLimit is the memory that the process's control groups let it have (Linux), and those
// above them.
func groupLimit(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return limit
	}
	for line := range strings.Lines(string(groups)) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(line, ":")
		at, file := "sys/fs/cgroup", "memory.max"
		switch {
		case controllers == "": // version 2
		case strings.Contains(","+controllers+",", ",memory,"):
			at, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// What a container sees as the root may be any group by its name there.
		for group = path.Join("/", group); ; group = path.Dir(group) {
			text, err := fs.ReadFile(root, path.Join(at, group, file))
			if n, perr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && perr == nil { // else it is "max"
				limit = min(limit, n)
			}
			if group == "/" {
				break
			}
		}
	}
	return limit
}
