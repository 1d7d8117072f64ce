package job

import (
	"context"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// replicaRules looks whether deletions of versions may be replicated, as MinIO can be told
// to. Where the rules may not be read they may be.
func (p *pruner) replicaRules(ctx context.Context) error {
	if p.learnt.Caps.IsAWS() {
		return nil
	}
	rules, told, err := p.store.Replication(ctx, p.learnt.Bucket)
	if err != nil {
		return err
	}
	p.mirrored, p.unmarked = !told.Known, !told.Known
	for _, r := range rules {
		mirrors := r.Enabled && r.Deletions
		p.mirrored, p.unmarked = p.mirrored || mirrors, p.unmarked || mirrors && !r.Markers
	}
	return nil
}

// replicated keeps a version that has a replica whose deletion would leave nothing there,
// since the current version has not arrived, or the delete marker that hides it here never does.
func (p *pruner) replicated(c *candidate, old *object.Head) bool {
	switch {
	case !p.mirrored || old.Replication == "":
		return true
	case c.now == nil && p.unmarked:
		c.keep(KeptReplica, "deletions of versions are replicated, and delete markers are not, so that the object may be there still where it is replicated to, and this version be all that is left of it")
		return false
	case c.now == nil || arrived(c.now.Replication):
		return true
	}
	status := c.now.Replication
	if status == "" {
		status = "none"
	}
	c.keep(KeptReplica, "deletions are replicated, and the current version is not (replication status: %s), so that nothing would be left of the object where it is replicated to", status)
	return false
}

// arrived says whether a version is where it is replicated to, or came from there.
func arrived(status string) bool { return strings.HasPrefix(status, "COMPLETE") || status == "REPLICA" }
