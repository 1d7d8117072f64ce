package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"

	"github.com/resealhq/reseal/engine/ledger"
)

// This file keeps the division of a job whose state lies in a bucket. It is created and never
// replaced: a process that sleeps before it writes its own, and wakes when another has begun
// the job, would take the division of that job away. Where shards.json is there already, of a
// process that came to no job or of another that is faster, a division gets a name that holds
// its digest; job.json says which one is meant.

// ownDivision is the name of a division by its digest.
func ownDivision(digest string) string { return "shards-" + digest[:16] + ".json" }

// keepDivision makes the division of this process durable in the bucket.
func (h *home) keepDivision(ctx context.Context, digest string) error {
	data, err := os.ReadFile(h.path(divisionName))
	if err != nil {
		return err
	}
	_, err = h.place.Create(ctx, divisionName, data)
	if errors.Is(err, ledger.ErrExists) {
		_, err = h.place.Create(ctx, ownDivision(digest), data)
	}
	return err
}

// pullDivision copies the division that the copy of job.json names. What is not that one is
// copied too, if there is no other: whoever reads it tells what is wrong.
func (h *home) pullDivision(ctx context.Context) error {
	var f struct {
		Division string `json:"division"`
	}
	data, err := os.ReadFile(h.path(fileName))
	if err != nil || json.Unmarshal(data, &f) != nil {
		return err
	}
	if sum, err := hex.DecodeString(f.Division); err != nil || len(sum) != sha256.Size {
		return nil // none, or whoever reads job.json tells what is wrong
	}
	for _, name := range []string{divisionName, ownDivision(f.Division)} {
		data, _, err := h.place.Read(ctx, name)
		if errors.Is(err, ledger.ErrNone) {
			continue
		}
		if err == nil {
			err = h.copy(divisionName, data)
		}
		if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) == f.Division {
			return err
		}
	}
	return nil
}
