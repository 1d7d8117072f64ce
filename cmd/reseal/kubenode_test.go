//go:build kubernetes

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// node is a node of processes: to the control plane it is a machine with a kubelet, and
// what it runs for a Pod is a process of this machine. It takes the one container's image,
// arguments, environment, user and empty volumes as the Pod says, ends it as a kubelet
// does, and tells the exit code. There are no containers, no networks and no limits here.
//
// As root it gives each process a root folder of its own that holds the image and the
// volumes and nothing else, and that the Pod's user cannot write but for the volumes.
type node struct {
	api    kubeAPI
	name   string
	dir    string
	images map[string]string // what stands for them: a binary
	role   []string          // the environment that stands for the machine's role: credentials

	mu struct {
		sync.Mutex
		pods    map[string]*nodePod // by UID
		all     []*nodePod          // those that are gone as well
		cut     bool                // off from the API server; its processes go on
		trouble error               // the last that the API server made
	}
}

// joinNode registers a node, which works until the test ends; its processes are gone then.
func joinNode(t *testing.T, api kubeAPI, name string, cpus int, images map[string]string, role []string) (*node, error) {
	n := &node{api: api, name: name, dir: t.TempDir(), images: images, role: role}
	n.mu.pods = map[string]*nodePod{}
	if err := n.register(t.Context(), cpus); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { n.every(ctx, 5*time.Second, n.heartbeat) })
	wg.Go(func() { n.every(ctx, 200*time.Millisecond, n.sync) })
	t.Cleanup(func() {
		stop()
		wg.Wait()
		for _, p := range n.mu.pods {
			_ = p.cmd.Process.Kill() // or it has ended already
			<-p.ended
		}
		if t.Failed() {
			t.Logf("node %s: the last trouble: %v", name, n.mu.trouble)
		}
	})
	return n, nil
}

// every does something again and again. What goes wrong then is tried again, since the
// API server may be away for a while.
func (n *node) every(ctx context.Context, d time.Duration, do func(context.Context) error) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := do(ctx); err != nil {
			n.mu.Lock()
			n.mu.trouble = err
			n.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (n *node) register(ctx context.Context, cpus int) error {
	err := n.api.send(ctx, http.MethodPost, "/api/v1/nodes", fields{"metadata": fields{"name": n.name, "labels": fields{"kubernetes.io/hostname": n.name}}})
	if err != nil {
		return err
	}
	room := fields{"cpu": fmt.Sprint(cpus), "memory": fmt.Sprintf("%dGi", 2*cpus), "pods": "32", "ephemeral-storage": "8Gi"}
	if err := n.api.send(ctx, http.MethodPatch, "/api/v1/nodes/"+n.name+"/status", fields{"status": fields{"capacity": room, "allocatable": room}}); err != nil {
		return err
	}
	return n.api.send(ctx, http.MethodPost, kubeLeases, fields{"metadata": fields{"name": n.name}, "spec": n.leaseSpec()})
}

const kubeLeases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

func (n *node) leaseSpec() fields {
	return fields{"holderIdentity": n.name, "leaseDurationSeconds": 40, "renewTime": time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")}
}

// heartbeat says that the node is well, as a kubelet does: by a lease and by conditions.
func (n *node) heartbeat(ctx context.Context) error {
	if n.isCut() {
		return nil
	}
	now := time.Now().UTC().Format(time.RFC3339)
	ready := fields{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now, "lastTransitionTime": now}
	return errors.Join(
		n.api.send(ctx, http.MethodPatch, kubeLeases+"/"+n.name, fields{"spec": n.leaseSpec()}),
		n.api.send(ctx, http.MethodPatch, "/api/v1/nodes/"+n.name+"/status", fields{"status": fields{"conditions": []fields{ready}}}))
}

func (n *node) isCut() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.cut
}

// cutOff takes the node off the API server. What runs there goes on.
func (n *node) cutOff() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.cut = true
}

// sync brings what runs here to what the API server wants here.
func (n *node) sync(ctx context.Context) error {
	if n.isCut() {
		return nil
	}
	wanted, err := n.api.pods(ctx, "fieldSelector", "spec.nodeName="+n.name)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	there := map[string]bool{}
	var errs []error
	for _, p := range wanted {
		there[p.Metadata.UID] = true
		errs = append(errs, n.syncPod(ctx, p))
	}
	for uid, p := range n.mu.pods {
		if !there[uid] && p.end() { // deleted by force
			delete(n.mu.pods, uid)
		}
	}
	return errors.Join(errs...)
}

// syncPod does the next thing that a Pod needs. REQUIRES: n.mu.
func (n *node) syncPod(ctx context.Context, p kubePod) error {
	runs := n.mu.pods[p.Metadata.UID]
	switch {
	case runs == nil && p.Metadata.DeletionTimestamp != "":
		return n.gone(ctx, &p)
	case runs == nil && p.Status.Phase == "Pending":
		return n.start(ctx, p)
	case runs == nil:
		return nil
	}
	if p.Metadata.DeletionTimestamp != "" && !runs.end() {
		return nil
	}
	if runs.lives() {
		return nil
	}
	if !runs.told {
		if err := n.tell(ctx, runs); err != nil {
			return err
		}
		runs.told = true
	}
	if p.Metadata.DeletionTimestamp != "" {
		return n.gone(ctx, &p)
	}
	return nil
}

// gone tells the API server that nothing is left of a Pod that it deletes.
func (n *node) gone(ctx context.Context, p *kubePod) error {
	return n.api.send(ctx, http.MethodDelete, kubePods+"/"+p.Metadata.Name, fields{"gracePeriodSeconds": 0, "preconditions": fields{"uid": p.Metadata.UID}})
}

// tell reports how the process of a Pod ended.
func (n *node) tell(ctx context.Context, p *nodePod) error {
	code, phase, reason := exitCodeOf(p.cmd.ProcessState), "Succeeded", "Completed"
	if code != 0 {
		phase, reason = "Failed", "Error"
	}
	return n.status(ctx, p, phase, fields{"terminated": fields{"exitCode": code, "reason": reason,
		"startedAt": p.started.UTC().Format(time.RFC3339), "finishedAt": time.Now().UTC().Format(time.RFC3339)}})
}

func (n *node) status(ctx context.Context, p *nodePod, phase string, state fields) error {
	c := &p.Spec.Containers[0]
	running := phase == "Running"
	return n.api.send(ctx, http.MethodPatch, kubePods+"/"+p.Metadata.Name+"/status", fields{"metadata": fields{"uid": p.Metadata.UID}, "status": fields{
		"phase": phase, "startTime": p.started.UTC().Format(time.RFC3339),
		"containerStatuses": []fields{{"name": c.Name, "image": c.Image, "imageID": n.images[c.Image], "ready": running, "started": running, "restartCount": 0, "state": state}},
	}})
}

// start runs what a Pod asks for. REQUIRES: n.mu.
func (n *node) start(ctx context.Context, pod kubePod) error {
	dir := filepath.Join(n.dir, pod.Metadata.UID)
	p := &nodePod{kubePod: pod, dir: dir, log: dir + ".log", ended: make(chan struct{}), started: time.Now()}
	if err := n.prepare(p); err != nil {
		return fmt.Errorf("pod %s: %w", pod.Metadata.Name, err)
	}
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	started := make(chan error)
	go func() { // the parent-death signal goes by thread
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // its state tells how it ended
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("pod %s: %w", pod.Metadata.Name, err)
	}
	n.mu.pods[pod.Metadata.UID] = p
	n.mu.all = append(n.mu.all, p)
	return n.status(ctx, p, "Running", fields{"running": fields{"startedAt": p.started.UTC().Format(time.RFC3339)}})
}

// ran are the Pods of a Job that have ever run here.
func (n *node) ran(job string) (pods []*nodePod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.mu.all {
		if p.Metadata.Labels["batch.kubernetes.io/job-name"] == job {
			pods = append(pods, p)
		}
	}
	return pods
}
