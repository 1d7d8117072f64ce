package job

import (
	"strconv"
	"time"
)

// pruneColumns are those of the rows of a prune, in order.
var pruneColumns = []string{"bucket", "key", "version_id", "state", "reason", "message", "size", "etag", "sse", "kms_key",
	"current_version_id", "request_id", "finished_at"}

func (p *pruner) header() { _ = p.out.Write(pruneColumns) } // csv keeps the error for the end

// row counts what became of a version, and writes it down.
func (p *pruner) row(c *candidate) {
	r, o := &p.result, &c.outcome
	switch c.state {
	case PruneWould:
		r.WouldDelete++
		r.Bytes += o.Size
	case PruneDeleted:
		if r.Deleted++; c.earlier {
			r.Earlier++
		}
		r.Bytes += o.Size
	case PruneGone:
		r.Gone++
	case PruneKept:
		r.Kept++
	case PruneFailed:
		r.Failed++
	}
	if c.reason != "" {
		r.Reasons[c.reason]++
		if len(r.Examples) < maxExamples {
			r.Examples = append(r.Examples, Finding{c.old.String(), c.reason + ": " + c.message})
		}
	}
	finished := ""
	if !c.finished.IsZero() {
		finished = c.finished.Format(time.RFC3339)
	}
	_ = p.out.Write([]string{c.old.Bucket, c.old.Key, c.old.VersionID, c.state, c.reason, c.message, strconv.FormatInt(o.Size, 10), o.ETagBefore,
		o.Before.Type.String(), o.Before.KMSKeyID, o.NewVersionID, c.requestID, finished}) // csv keeps the error for the end
}
