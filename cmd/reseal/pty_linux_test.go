package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/resealhq/reseal/engine/s3test"
)

// pty is a pseudo-terminal and what was written to it.
type pty struct {
	master, slave *os.File
	mu            sync.Mutex
	text          bytes.Buffer
	read          chan struct{}
}

func ioctl(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		t.Fatalf("ioctl %#x: %v", request, errno)
	}
}

// openTerminal is both ends of a terminal, which nobody reads yet.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var number uint32
	var unlocked int32
	ioctl(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	ioctl(t, master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func newTerminal(t *testing.T, columns int) *pty {
	t.Helper()
	master, slave := openTerminal(t)
	tty := &pty{master: master, slave: slave, read: make(chan struct{})}
	tty.resize(t, columns)
	go func() {
		defer close(tty.read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			tty.mu.Lock()
			tty.text.Write(buf[:n])
			tty.mu.Unlock()
			if err != nil {
				return // EIO: nobody has the other end any more
			}
		}
	}()
	return tty
}

func (tty *pty) resize(t *testing.T, columns int) {
	t.Helper()
	size := [4]uint16{24, uint16(columns)}
	ioctl(t, tty.slave, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
}

func (tty *pty) shown() string {
	tty.mu.Lock()
	defer tty.mu.Unlock()
	return tty.text.String()
}

// await waits until the terminal has shown it.
func (tty *pty) await(t *testing.T, text *regexp.Regexp) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !text.MatchString(tty.shown()) {
		if time.Now().After(deadline) {
			t.Fatalf("the terminal never showed %s; it showed %q", text, tty.shown())
		}
		<-time.After(20 * time.Millisecond)
	}
}

var (
	controls = regexp.MustCompile(`\x1b\[[0-9]*[A-Za-z]`)
	barShown = regexp.MustCompile(`\[[#-]{10,}\] [0-9.]+% [0-9]+/300, `)
)

// TestTerminals runs a job before terminals of several widths: a bar that fits and
// says when it ends, lines where there is no room for one or none can be drawn, and
// nothing of an old bar after the window became narrower.
func TestTerminals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		columns int
		term    string
		resized int
		bar     bool
	}{
		{"36 columns", 36, "xterm", 0, false},
		{"80 columns", 80, "xterm", 0, true},
		{"120 columns", 120, "xterm", 0, true},
		{"dumb", 120, "dumb", 0, false},
		{"made narrower", 120, "xterm", 60, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, s3test.Config{Seed: 4})
			st.fillDocs(300)
			tty := newTerminal(t, c.columns)
			job := filepath.Join(st.dir, "job")
			cmd := st.command("run", "s3://docs", "--sse", "AES256", "--operation", "copy", "--job", job, "--max-requests-per-second", "100")
			cmd.Env = append(cmd.Env, "TERM="+c.term)
			cmd.Stderr = tty.slave
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if c.bar {
				tty.await(t, regexp.MustCompile(barShown.String()+`.*ETA `))
			} else {
				tty.await(t, regexp.MustCompile(`(?m)^2\d{3}-\d\d-\d\dT\S+ \S+/job: .*objects/s.*\n`))
			}
			before := len(tty.shown())
			if c.resized > 0 {
				tty.resize(t, c.resized)
				<-time.After(time.Second)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			_ = tty.slave.Close()
			<-tty.read
			text := tty.shown()
			if !c.bar && (strings.Contains(text, "\x1b") || barShown.MatchString(text)) {
				t.Errorf("a bar where none can be shown: %q", text)
			}
			if c.resized > 0 && !strings.Contains(text[before:], "\x1b[1A\x1b[J") {
				t.Errorf("the wrapped bar was not taken away whole: %q", text[before:])
			}
			if c.bar {
				tty.fits(t, text[:before], c.columns)
				if !strings.HasSuffix(text, "\x1b[J") && !strings.HasSuffix(text, "\x1b[K") {
					t.Errorf("the end leaves something behind: %q", text[max(0, len(text)-200):])
				}
			}
		})
	}
}

// fits wants every frame to leave the last column free, so that no terminal wraps it.
func (tty *pty) fits(t *testing.T, text string, columns int) {
	t.Helper()
	for _, frame := range strings.Split(text, "\r") {
		if n := utf8.RuneCountInString(controls.ReplaceAllString(strings.TrimSuffix(frame, "\n"), "")); n >= columns && barShown.MatchString(frame) {
			t.Errorf("%d characters in %d columns: %q", n, columns, frame)
		}
	}
}
