package engine

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

// The bytes of objects that a run holds stay within what its container has.
func TestGroupLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no Linux":    {nil, math.MaxInt64},
		"none":        {map[string]string{"proc/self/cgroup": "0::/\n"}, math.MaxInt64},
		"container":   {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n"}, 128 << 20},
		"no limit":    {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, math.MaxInt64},
		"above it":    {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1000\n", "sys/fs/cgroup/a/b/memory.max": "2000\n"}, 1000},
		"not shown":   {map[string]string{"proc/self/cgroup": "0::/kubepods/x\n", "sys/fs/cgroup/memory.max": "3000\n"}, 3000},
		"version 1":   {map[string]string{"proc/self/cgroup": "4:cpu,memory:/x\n0::/\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "4000\n"}, 4000},
		"unlimited 1": {map[string]string{"proc/self/cgroup": "4:memory:/\n1:name=memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 9223372036854771712},
		"disorder":    {map[string]string{"proc/self/cgroup": "\n:\n0\n0::../..\n"}, math.MaxInt64},
	} {
		root := fstest.MapFS{}
		for path, text := range c.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := groupLimit(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// Neither more than before, nor less than one object takes.
func TestMayHold(t *testing.T) {
	before := debug.SetMemoryLimit(128 << 20)
	defer debug.SetMemoryLimit(before)
	if got := mayHold(maxBytesHeld); got > 32<<20 || got < leastHeld {
		t.Errorf("of 128 MiB it holds %d bytes", got)
	}
	debug.SetMemoryLimit(1 << 20)
	if got := mayHold(maxBytesHeld); got != leastHeld {
		t.Errorf("of 1 MiB it holds %d bytes", got)
	}
}
