package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// chromium is a headless browser that is told what to do over a pipe, in the DevTools
// protocol. It judges pages as a person's browser shows them.
type chromium struct {
	*testing.T
	in      *os.File
	session string

	mu      sync.Mutex
	next    int
	replies map[int]chan json.RawMessage
	// complaints are what the page's console and the browser's policies say.
	complaints []string
}

const howToInstall = "chromium is missing, so nobody judges the pages: apt-get install --no-install-recommends chromium"

// openChromium starts a browser with one page. Where there is none a test in CI fails,
// and make test says so.
func openChromium(t *testing.T) *chromium {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	switch {
	case path == "" && os.Getenv("CI") != "":
		t.Fatal(howToInstall)
	case path == "":
		t.Skip(howToInstall) // make test says so too
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	toRead, toWrite := pipe(t), pipe(t)
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile)
	cmd.ExtraFiles = []*os.File{toRead[0], toWrite[1]} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = toRead[0].Close(), toWrite[1].Close()
	c := &chromium{T: t, in: toRead[1], replies: map[int]chan json.RawMessage{}}
	listening := make(chan struct{})
	go func() { defer close(listening); c.listen(toWrite[0]) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = toRead[1].Close()
		<-listening
		_ = toWrite[0].Close()
		// Its other processes may write for a moment longer.
		for range 50 {
			if os.RemoveAll(profile) == nil {
				break
			}
			<-time.After(100 * time.Millisecond)
		}
	})
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		c.call(domain+".enable", nil, nil)
	}
	return c
}

func pipe(t *testing.T) [2]*os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return [2]*os.File{r, w}
}

// listen reads messages, each of which ends with a NUL.
func (c *chromium) listen(from *os.File) {
	b := bufio.NewReaderSize(from, 1<<20)
	for {
		data, err := b.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
		}
		data = bytes.TrimSuffix(data, []byte{0})
		if json.Unmarshal(data, &m) != nil {
			continue
		}
		c.mu.Lock()
		if reply := c.replies[m.ID]; m.ID > 0 && reply != nil {
			delete(c.replies, m.ID)
			reply <- data
		}
		switch m.Method {
		case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
			c.complaints = append(c.complaints, string(m.Params))
		}
		c.mu.Unlock()
	}
}

// call sends a command and waits for its result.
func (c *chromium) call(method string, params, result any) {
	c.Helper()
	if params == nil {
		params = map[string]any{}
	}
	reply := make(chan json.RawMessage, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.replies[id] = reply
	c.mu.Unlock()
	message := map[string]any{"id": id, "method": method, "params": params}
	if c.session != "" {
		message["sessionId"] = c.session
	}
	data, err := json.Marshal(message)
	if err != nil {
		c.Fatal(err)
	}
	if _, err := c.in.Write(append(data, 0)); err != nil {
		c.Fatalf("%s: %v", method, err)
	}
	select {
	case data = <-reply:
	case <-time.After(time.Minute):
		c.Fatalf("%s: no answer within a minute", method)
	}
	var m struct {
		Error  *struct{ Message string }
		Result json.RawMessage
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Error != nil {
		c.Fatalf("%s: %v %s", method, err, data)
	}
	if result != nil {
		if err := json.Unmarshal(m.Result, result); err != nil {
			c.Fatalf("%s: %v in %s", method, err, m.Result)
		}
	}
}

// value evaluates an expression of the page.
func (c *chromium) value(expression string, into any) {
	c.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		c.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	if into != nil {
		if err := json.Unmarshal(r.Result.Value, into); err != nil {
			c.Fatalf("%s: %v in %s", expression, err, r.Result.Value)
		}
	}
}

func (c *chromium) open(url string) {
	c.Helper()
	c.call("Page.navigate", map[string]any{"url": url}, nil)
	c.until("the page is there", `document.readyState === "complete" && location.href !== "about:blank"`)
}

// until waits until an expression of the page is true.
func (c *chromium) until(what, expression string) {
	c.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		var is bool
		if c.value("!!("+expression+")", &is); is {
			return
		}
		if time.Now().After(deadline) {
			var text string
			c.value("document.body.innerText", &text)
			c.Fatalf("this never was so: %s\n%.2000s\n%s", what, text, strings.Join(c.complaints, "\n"))
		}
		<-time.After(100 * time.Millisecond)
	}
}

// brokenWords are the words of the page that stand on two lines, and whatever is wider
// than the page. A name may be broken behind what divides it, and one word that is
// longer than the line at its end.
const brokenWords = `(() => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    for (const word of node.data.matchAll(/[\p{L}\p{N}]{2,}/gu)) {
      if (word[0].length > 40) continue;
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(r => Math.round(r.top)));
      if (lines.size > 1) found.push(word[0]);
    }
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) found.push('the page is ' + wide + ' pixels too wide');
  return found;
})()`

// looksRight judges the page at the widths of a telephone, a narrow window and a wide
// one, in light and in dark; with RESEAL_SHOTS it keeps pictures there.
func (c *chromium) looksRight(name string) {
	c.Helper()
	for _, scheme := range []string{"light", "dark"} {
		c.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
		for _, width := range []int{320, 480, 1200} {
			c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": false}, nil)
			var broken []string
			if c.value(brokenWords, &broken); len(broken) > 0 {
				c.Errorf("%s, %d pixels, %s: broken: %q", name, width, scheme, broken)
			}
			var colours []string
			c.value(`[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]`, &colours)
			if len(colours) != 2 || colours[0] == colours[1] || (scheme == "dark") != (colours[1] != "rgb(255, 255, 255)") {
				c.Errorf("%s, %s: %v", name, scheme, colours)
			}
			if dir := os.Getenv("RESEAL_SHOTS"); dir != "" {
				c.shoot(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)))
			}
		}
	}
}

func (c *chromium) shoot(path string) {
	c.Helper()
	var shot struct{ Data string }
	c.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		c.Fatal(err)
	}
}

// complainedNot fails where the page's console or the browser said anything.
func (c *chromium) complainedNot() {
	c.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, what := range c.complaints {
		c.Errorf("the browser complains: %.600s", what)
	}
}
