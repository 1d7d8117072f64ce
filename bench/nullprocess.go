package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// startNullServer runs the null server as a process of its own, so that its CPU
// is not the client's.
func startNullServer(ctx context.Context) (_ *nullProcess, err error) {
	dir, err := os.MkdirTemp("", "reseal-bench-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	cmd, err := self(ctx, "-null-server", dir)
	if err != nil {
		return nil, err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var addr, secure string
	if _, err := fmt.Fscanln(stdout, &addr, &secure); err != nil {
		return nil, fmt.Errorf("the null server did not start: %w", err)
	}
	return &nullProcess{URL: "http://" + addr, secureURL: "https://" + secure, caFile: filepath.Join(dir, nullCA),
		stop: func() error { stdin.Close(); return errors.Join(cmd.Wait(), os.RemoveAll(dir)) }}, nil
}

// nullProcess is a null server that runs.
type nullProcess struct {
	URL string
	// secureURL is the same server over TLS 1.3, under the certificate in caFile.
	secureURL, caFile string
	stop              func() error
}

// withNull gives a workload a null server, and reseal to be built, for as long as
// it lasts.
func withNull(ctx context.Context, workload func(*nullProcess, *builder) (*Table, error)) (_ *Table, err error) {
	b := &builder{}
	defer func() { err = errors.Join(err, b.Close()) }()
	server, err := startNullServer(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	return workload(server, b)
}

// task is work on the null server; dir is for this work alone.
func (p *nullProcess) task(bucket, dir string) *task {
	return &task{endpoint: p.URL, accessKey: "null", secretKey: "null-secret", bucket: bucket, prefix: nullPrefix, dir: dir}
}

// secureTask is the same work over TLS.
func (p *nullProcess) secureTask(bucket, dir string) *task {
	t := p.task(bucket, dir)
	t.endpoint, t.caFile = p.secureURL, p.caFile
	return t
}

// Stats asks it what it did so far.
func (p *nullProcess) Stats() (NullStats, error) {
	var s NullStats
	body, err := get(p.URL + "/-stats")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

// becomes makes it a Far, from now on.
func (p *nullProcess) becomes(f Far) error {
	setting, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = get(p.URL + "/-far?set=" + url.QueryEscape(string(setting)))
	return err
}

// seen is what it counted as a Far, which it no longer is.
func (p *nullProcess) seen() (seen FarSeen, err error) {
	body, err := get(p.URL + "/-far")
	if err != nil {
		return seen, err
	}
	return seen, json.Unmarshal(body, &seen)
}

// minus is what happened between two looks.
func (a NullStats) minus(b NullStats) NullStats {
	return NullStats{List: a.List - b.List, Head: a.Head - b.Head, Copy: a.Copy - b.Copy, Detail: a.Detail - b.Detail, Other: a.Other - b.Other,
		BytesIn: a.BytesIn - b.BytesIn, BytesOut: a.BytesOut - b.BytesOut, Conns: a.Conns - b.Conns,
		CPUMicroseconds: a.CPUMicroseconds - b.CPUMicroseconds}
}
