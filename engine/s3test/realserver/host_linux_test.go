package realserver_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestDiesWithItsParent kills a process that has started a server, and sees that
// the server goes too, and that the next start sweeps up what it left in memory.
// The killed process is this test binary.
func TestDiesWithItsParent(t *testing.T) {
	if os.Getenv("REALSERVER_CHILD") != "" {
		waitToBeKilled(t)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiesWithItsParent$")
	cmd.Env = append(os.Environ(), "REALSERVER_CHILD=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		t.Fatalf("the child did not start a server: %v", err)
	}
	addr, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the child's folder: %v", err)
	}

	deadline := time.Now().Add(30 * time.Second)
	for {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("the server on %s outlived its parent", addr)
		}
	}

	realserver.StartMinIO(t, realserver.Options{})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v): nobody swept it up", dir, err)
	}
}

func waitToBeKilled(t *testing.T) {
	s := realserver.StartMinIO(t, realserver.Options{})
	fmt.Println(strings.TrimPrefix(s.Endpoint, "http://"), filepath.Dir(s.DataDir()))
	select {}
}
