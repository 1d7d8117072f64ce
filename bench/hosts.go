package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
)

// hosts are network namespaces that are joined by a bridge: one of the store, and
// one for each process. Only root can make them, and only Linux has them.
type hosts struct {
	prefix string
	made   []string
}

// newHosts makes them. Nothing of the machine's own network is touched.
func newHosts(ctx context.Context, n int) (_ *hosts, err error) {
	h := &hosts{prefix: fmt.Sprintf("reseal%d-", os.Getpid())}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("network namespaces, which take root and iproute2: %w", err), h.close())
		}
	}()
	for i := range n + 1 {
		if err := ip(ctx, "netns", "add", h.name(i)); err != nil {
			return nil, err
		}
		h.made = append(h.made, h.name(i))
	}
	store := h.name(0)
	steps := [][]string{{"-n", store, "link", "set", "lo", "up"}, {"-n", store, "link", "add", "joined", "type", "bridge"},
		{"-n", store, "addr", "add", h.addr(0) + "/24", "dev", "joined"}, {"-n", store, "link", "set", "joined", "up"}}
	for i := 1; i <= n; i++ {
		port, own := fmt.Sprintf("port%d", i), h.name(i)
		steps = append(steps, []string{"-n", store, "link", "add", port, "type", "veth", "peer", "name", "wire", "netns", own},
			[]string{"-n", store, "link", "set", port, "master", "joined", "up"},
			[]string{"-n", own, "addr", "add", h.addr(i) + "/24", "dev", "wire"}, []string{"-n", own, "link", "set", "wire", "up"},
			[]string{"-n", own, "link", "set", "lo", "up"})
	}
	for _, step := range steps {
		if err := ip(ctx, step...); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *hosts) name(i int) string { return h.prefix + fmt.Sprint(i) }

func (h *hosts) addr(i int) string { return fmt.Sprintf("10.213.0.%d", i+1) }

func (h *hosts) storeAddr() string { return net.JoinHostPort(h.addr(0), "9000") }

// command is a program on one of the hosts.
func (h *hosts) command(ctx context.Context, host, path string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", host, path}, args...)...)
}

func (h *hosts) close() error {
	var errs []error
	for _, name := range h.made {
		errs = append(errs, ip(context.Background(), "netns", "del", name))
	}
	return errors.Join(errs...)
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
