package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plant is a fault that breaks one promise: a line of the product as it is, and as
// somebody may have written it on a bad day.
type plant struct {
	name, file, is, becomes string
}

// plants break a promise each. The simulation has to notice every one.
var plants = []plant{
	{"a write of another client is overwritten", "engine/carry/request.go",
		"if !u.Sent && r.Caps.CompleteIfMatch == object.Yes || u.Sent && r.Caps.Guarded(object.RouteSend) {", "if false {"},
	{"what was done is believed not to be", "checkpoint/next.go",
		"t.InDoubt, t.Earlier = doubt, seq < s.earlier", "t.InDoubt, t.Earlier = false && doubt, seq < s.earlier"},
	{"what was acknowledged is not durable", "checkpoint/writer.go",
		"s.apply(t.Batch, t.sync)", "s.apply(t.Batch, false)"},
	{"what is planned is skipped", "planner/plan.go",
		"if tasks, err = p.append(tasks, page.Cursors); err != nil {", "_, _ = p.append(nil, page.Cursors)\n\t\tif tasks, err = p.append(tasks, page.Cursors); err != nil {"},
	{"what the store shows is not compared", "engine/prove.go",
		"if h.Size != it.obj.Size || !it.rules().Target.Satisfied(&h.Object) && !it.keptNone() {", "if h.Size != it.obj.Size {"},
	{"what has no answer is sent again unasked", "engine/retry/certain.go",
		"applied, aerr := a.Ask(Ending(ctx), call, b.lost)", "applied, aerr := false, error(nil)"},
	{"tags are lost", "engine/carry/request.go",
		"return sendsTags(c) || r.Caps.KeepsTags != object.Yes", "return r.Caps.KeepsTags != object.Yes"},
	{"a legal hold is lost", "engine/carry/request.go",
		"req.LockMode, req.RetainUntil, req.LegalHold = mode, rfc3339(until), o.LegalHold", "req.LockMode, req.RetainUntil, req.LegalHold = mode, rfc3339(until), false"},
	{"an older null version is overwritten", "engine/life.go",
		"if err != nil || !there {", "if err != nil || there || !there {"},
	{"an upload is left open", "engine/upload/resume.go",
		"return noUpload(c.Store.AbortUpload(ctx, u.Target, u.ID))", "return nil"},
	{"an upload that may be another client's is aborted", "engine/upload/leftover.go",
		"named = append(named, p.ID)", "named = append(named, p.ID)\n\t\t_, _ = c.end(ctx, &object.Upload{Target: dest, ID: p.ID})"},
	{"another client's upload is called the job's", "engine/upload/leftover.go",
		"return len(parts) == 0, nil", "return len(parts) >= 0, nil"},
	{"a shard lists past its end", "engine/job/divide.go",
		"src.After, src.Through = p.After, p.Through", "src.After = p.After"},
	{"a redirect that was seen is lost", "engine/carry/request.go",
		"req.WebsiteRedirect = attrs.WebsiteRedirect", "req.WebsiteRedirect = \"\""},
	{"nobody looks below what was written", "engine/below.go",
		"l != nil && r.below.taken != nil", "l != nil && false && r.below.taken != nil"},
	{"nobody looks below what a process that died has written", "engine/doubt.go",
		"if b.versions == nil || id == \"\"", "if true || b.versions == nil || id == \"\""},
	{"what others say of a copy that is taken back is lost", "engine/takeback.go",
		"if err := b.isAsMade(ctx, l); err != nil {", "if err := error(nil); err != nil {"},
}

// plantedSeeds is within how many nights each has to be found.
const plantedSeeds = 2000

// TestPlantsFit wants every plant to be a line of the product, so that none rots.
func TestPlantsFit(t *testing.T) {
	for _, p := range plants {
		if _, err := p.planted(t.TempDir()); err != nil {
			t.Error(err)
		}
	}
}

// TestPlantedFaultsAreFound builds the simulation with each fault in turn, and plays
// nights until one fails. It takes minutes, and `make soak-planted` asks for it.
func TestPlantedFaultsAreFound(t *testing.T) {
	if os.Getenv("RESEAL_PLANTED") == "" {
		return
	}
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now()
			seed, said, err := p.hunt(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if seed == "" {
				t.Fatalf("not found within %d seeds", plantedSeeds)
			}
			t.Logf("found by seed %s after %v: %s", seed, time.Since(began).Round(time.Second), said)
		})
	}
}

const root = "../../.."

// planted writes the file with the fault and gives the overlay that the go command
// builds it by.
func (p *plant) planted(dir string) (overlay string, err error) {
	file, err := filepath.Abs(filepath.Join(root, p.file))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), p.is); n != 1 {
		return "", fmt.Errorf("%s: %q stands in it %d times, want once: plant it anew", p.file, p.is, n)
	}
	with := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(with, []byte(strings.Replace(string(text), p.is, p.becomes, 1)), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: with}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

var failed = regexp.MustCompile(`--- FAIL: TestSoakNights/seed([0-9]+)[^\n]*\n\s*(.*)`)

// hunt is the first seed that fails with the fault and not without it, and what it says
// first.
func (p *plant) hunt(dir string) (seed, said string, err error) {
	overlay, err := p.planted(dir)
	if err != nil {
		return "", "", err
	}
	planted := filepath.Join(dir, "planted.test")
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", planted, ".").CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("%w: %s", err, out)
	}
	clean, err := os.Executable()
	if err != nil {
		return "", "", err
	}
	for from := 1; from <= plantedSeeds; {
		out := nights(planted, from, plantedSeeds-from+1)
		m := failed.FindStringSubmatch(out)
		switch {
		case m == nil && strings.HasSuffix(strings.TrimSpace(out), "PASS"):
			return "", "", nil
		case m == nil:
			return "", "", fmt.Errorf("the nights ended oddly: %s", out)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return "", "", err
		}
		if strings.HasSuffix(strings.TrimSpace(nights(clean, n, 1)), "PASS") {
			return m[1], m[2], nil
		}
		from = n + 1
	}
	return "", "", nil
}

// nights plays some with a program, up to the first that fails.
func nights(program string, from, count int) string {
	play := exec.Command(program, "-test.run", "^TestSoakNights$", "-test.failfast", "-test.timeout", "1h")
	play.Env = append(os.Environ(), "RESEAL_PLANTED=", fmt.Sprint("RESEAL_SEED=", from), fmt.Sprint("RESEAL_SOAK_SEEDS=", count))
	out, _ := play.CombinedOutput() // a night that fails is an answer
	return string(out)
}
