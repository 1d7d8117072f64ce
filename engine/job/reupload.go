package job

import (
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// reupload is what the planner is told of a change of client-side encryption; nil where
// that stays.
func (j *Job) reupload() *planner.Reupload {
	t := &j.Spec.Target
	if !t.ClientSide.remakes() {
		return nil
	}
	return &planner.Reupload{KeepsSSE: t.keepsSSE()}
}

// keepsSSE says whether an object stays under the server-side encryption that it has.
func (t *Target) keepsSSE() bool { return t.SSE == object.SSEUnknown && t.DestFolder == "" }

// reuploads tells it what it needs to write objects under another client-side encryption.
func (w *work) reuploads(cfg *engine.Config, c *ClientSide) error {
	p := &w.job.Policy
	cfg.Reupload = &engine.Reupload{Format: formats[c.Format], Target: c.target(), KeepsSSE: w.job.Spec.Target.keepsSSE(),
		OtherReaders: p.Accepts(AcceptReaders), Unauthenticated: p.Accepts(AcceptUnauthenticated), Plaintext: p.Accepts(AcceptPlaintext), InstructionGap: p.Accepts(AcceptInstructionGap)}
	k, err := w.wrappingKMS()
	if err != nil || k == nil {
		return err
	}
	cfg.Reupload.KMS = k
	if c.KMSKeyID != "" {
		cfg.Reupload.Usable = w.wrappingKeyUsable
	}
	return nil
}
