//go:build kubernetes

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// nodePod is a Pod on a node, and its process.
type nodePod struct {
	kubePod
	dir     string
	cmd     *exec.Cmd
	log     string // the file of what it prints, which outlives the disk
	started time.Time
	ended   chan struct{}
	told    bool // how it ended
	asked   bool // to end
}

// prepare lays out the Pod's root folder and its command.
func (n *node) prepare(p *nodePod) error {
	if len(p.Spec.Containers) != 1 {
		return errors.New("it has not one container")
	}
	c := &p.Spec.Containers[0]
	binary := n.images[c.Image]
	if binary == "" {
		return fmt.Errorf("there is no image %s", c.Image)
	}
	root := filepath.Join(p.dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := os.Link(binary, filepath.Join(root, "reseal")); err != nil {
		return err
	}
	for _, m := range c.Mounts {
		if !p.isEmptyDir(m.Name) {
			return fmt.Errorf("there is no volume %s", m.Name)
		}
		dir := filepath.Join(root, m.Path)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o777)); err != nil {
			return err
		}
	}
	args, env := p.words()
	p.cmd = exec.Command(filepath.Join(root, "reseal"), args...)
	p.cmd.Env = append(append(p.cmd.Env, n.role...), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		p.cmd.Path, p.cmd.Dir = "/reseal", "/"
		p.cmd.SysProcAttr.Chroot = root
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: p.Spec.SecurityContext.User, Gid: p.Spec.SecurityContext.Group}
	} else {
		p.cmd.Env = append(p.cmd.Env, "TMPDIR="+filepath.Join(root, "tmp"))
	}
	return nil
}

func (p *nodePod) isEmptyDir(name string) bool {
	for _, v := range p.Spec.Volumes {
		if v.Name == name {
			return v.EmptyDir != nil
		}
	}
	return false
}

// words are the arguments and the environment, with $(NAME) and $$ read as Kubernetes
// reads them.
func (p *nodePod) words() (args, env []string) {
	c := &p.Spec.Containers[0]
	values := map[string]string{}
	for _, v := range c.Env {
		value := expanded(v.Value, values)
		if v.ValueFrom != nil {
			value = p.field(v.ValueFrom.FieldRef.FieldPath)
		}
		values[v.Name] = value
		env = append(env, v.Name+"="+value)
	}
	for _, a := range c.Args {
		args = append(args, expanded(a, values))
	}
	return args, env
}

// field is what a fieldRef names; empty for what nobody here asks for.
func (p *nodePod) field(path string) string {
	for prefix, of := range map[string]map[string]string{"metadata.annotations['": p.Metadata.Annotations, "metadata.labels['": p.Metadata.Labels} {
		if key, found := strings.CutPrefix(path, prefix); found {
			return of[strings.TrimSuffix(key, "']")]
		}
	}
	return ""
}

// expanded replaces $(NAME) by its value, leaves it where there is none, and takes $$ for $.
func expanded(text string, values map[string]string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		text = after
		name, rest, closed := strings.Cut(strings.TrimPrefix(after, "("), ")")
		value, known := values[name]
		switch {
		case strings.HasPrefix(after, "$"):
			text = after[1:]
			out.WriteString("$")
		case strings.HasPrefix(after, "(") && closed && known:
			text = rest
			out.WriteString(value)
		default:
			out.WriteString("$")
		}
	}
}

// end asks the process to end, and kills it when its time is over. It tells whether it
// has ended.
func (p *nodePod) end() bool {
	if !p.asked {
		p.asked = true
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // or it has ended already
		time.AfterFunc(time.Duration(p.Spec.Grace)*time.Second, func() { _ = p.cmd.Process.Kill() })
	}
	return !p.lives()
}

// exitCodeOf is the code as container runtimes tell it.
func exitCodeOf(s *os.ProcessState) int {
	if w := s.Sys().(syscall.WaitStatus); w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

func (p *nodePod) index() string {
	return p.Metadata.Labels["batch.kubernetes.io/job-completion-index"]
}

// lives tells whether the process has not ended.
func (p *nodePod) lives() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// said is what the process has printed.
func (p *nodePod) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// lose kills the process of a Pod and takes its disk away.
func (p *nodePod) lose() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	<-p.ended
	return os.RemoveAll(p.dir)
}
