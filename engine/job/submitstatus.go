package job

import (
	"context"
	"fmt"

	"github.com/resealhq/reseal/engine/s3store"
)

// AskSubmitted asks S3 Batch Operations where its jobs stand that are under way, and tells
// it in the status. Nothing is recorded, and a process at work is not disturbed.
func (j *Job) AskSubmitted(ctx context.Context, s *Status, version string) error {
	var batch *s3store.BatchOperations
	for _, sub := range s.Submitted {
		if !sub.Open() || sub.ID == "" || batchEnded(sub.Status) {
			continue
		}
		if batch == nil {
			store, err := j.Spec.Connection.Open(ctx, Dial{Version: version, Conn: j.ground.Dial})
			if err != nil {
				return err
			}
			defer store.Close()
			if batch, err = store.BatchOperations(ctx, sub.Account, sub.Job.Bucket); err != nil {
				return err
			}
		}
		now, err := batch.Describe(ctx, sub.ID)
		if err != nil {
			return fmt.Errorf("asking about job %s of S3 Batch Operations: %w", sub.ID, err)
		}
		if batchStates[now.Status] {
			sub.Status, sub.Total, sub.Succeeded, sub.Failed, sub.Reasons = now.Status, now.Total, now.Succeeded, now.Failed, now.Reasons
		}
	}
	return nil
}
