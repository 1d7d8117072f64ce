package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// One bucket, whatever the number of workers, the faults and the moments of
// death: the same final encryption, bytes, attributes and report. A seed that
// fails is run again by RESEAL_SEED; RESEAL_SOAK_SEEDS asks for more of them than
// `make test` runs (`make soak`).
func TestMetamorphic(t *testing.T) {
	t.Parallel()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	first, seeds := uint64(1), 6
	if n, err := strconv.Atoi(os.Getenv("RESEAL_SOAK_SEEDS")); err == nil {
		seeds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("RESEAL_SEED"), 10, 64); err == nil {
		first, seeds = n, 1
	}
	want := newCell(t, binary, metaObjects, nil, false)
	want.finish()
	want.check(true, false)
	reference := want.essence()
	var kills atomic.Int32
	atOnce := newPool(t, 4)
	for seed := first; seed < first+uint64(seeds); seed++ {
		atOnce.run(fmt.Sprint("seed", seed), func(t *testing.T) {
			m := &meta{rng: rand.New(rand.NewPCG(seed, 0))}
			c := newCell(t, binary, metaObjects, m.args(), true)
			m.live(c)
			c.dying = max(m.kills, 1) * m.workers
			c.check(m.update, true)
			kills.Add(int32(m.kills))
			if got := c.essence(); got != reference && !c.Failed() {
				t.Errorf("seed %d ends otherwise than an undisturbed run:%s", seed, differing(got, reference))
			}
		})
	}
	atOnce.wait()
	t.Logf("%d seeds of %d objects, %d processes killed", seeds, metaObjects, kills.Load())
}

const metaObjects = 60

// differing are the lines that stand in one of the texts only.
func differing(got, want string) string {
	var b strings.Builder
	for _, l := range strings.Split(got, "\n") {
		if !strings.Contains(want, l+"\n") {
			b.WriteString("\n  got  " + l)
		}
	}
	for _, l := range strings.Split(want, "\n") {
		if !strings.Contains(got, l+"\n") {
			b.WriteString("\n  want " + l)
		}
	}
	return b.String()
}

// meta is one seed's life.
type meta struct {
	rng     *rand.Rand
	kills   int
	workers int
	update  bool
}

func (m *meta) args() []string {
	m.workers = 1 + m.rng.IntN(24)
	args := []string{"--concurrency", fmt.Sprint(m.workers)}
	switch m.rng.IntN(3) {
	case 0:
		m.update = true
		args = append(args, "--operation", "update")
	case 1:
		args = append(args, inParts...)
	default:
		args = append(args, "--operation", "copy")
	}
	verify := []string{"auto", "response", "head", "read"}
	inspect := []string{"auto", "always"}
	return append(args, "--verify", verify[m.rng.IntN(len(verify))], "--inspect", inspect[m.rng.IntN(len(inspect))])
}

// live runs the job under random faults, killing the process now and then, and
// lets it end in peace.
func (m *meta) live(c *matrixCell) {
	var rules strings.Builder
	for i, f := range []string{"Failed", "ReplyLost", "Throttled", "ErrorIn200", "Truncated", "(Delay 30)"} {
		fmt.Fprintf(&rules, "(If (And Any (Key \"obj-*\") (PerKey (First 3)) (Random 0.08 %d)) %s)\n", m.rng.Uint64()%1000+uint64(i), f)
	}
	if err := c.server.SetRules(rules.String()); err != nil {
		c.Fatal(err)
	}
	for range m.rng.IntN(5) {
		cmd := c.command()
		if err := cmd.Start(); err != nil {
			c.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(20+m.rng.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		if cmd.Wait() != nil {
			m.kills++
		}
		timer.Stop()
	}
	if err := c.server.SetRules(""); err != nil {
		c.Fatal(err)
	}
	c.finish()
}

// essence is what must not depend on how the job was run, as text.
func (c *matrixCell) essence() string {
	now := c.server.Snapshot(matrixBucket)
	rows := c.report()
	var b bytes.Buffer
	seen := map[string]bool{}
	var lines []string
	for _, o := range now.Objects {
		if seen[o.Key] || !o.Latest {
			continue
		}
		seen[o.Key] = true
		row := rows[o.Key]
		lines = append(lines, fmt.Sprintln(o.Key, o.Body.Slice(0, min(8, o.Body.Size())).ReadAll(), o.Body.Size(), o.Encryption.Type, o.ContentType, o.CacheControl,
			o.Expires, o.Metadata, o.Tags, o.StorageClass, row["sse_after"], row["size"]))
	}
	slices.Sort(lines)
	for _, l := range lines {
		b.WriteString(l)
	}
	return b.String()
}
