package canary

import (
	"context"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// otherSums asks, where objects of another store are written here, for checksums of the algorithms that
// the dress has none of: a store may keep some, and pass over those that it does not know.
func (c *canary) otherSums(ctx context.Context) error {
	if !c.o.Dest || !c.o.Sends || c.caps.Checksums != object.Yes || slices.Contains(c.o.Accept, object.ReasonComposite) {
		return nil
	}
	var drops []string
	for _, algorithm := range []string{"CRC32C", "CRC64NVME", "SHA1", "SHA256"} {
		kept, err := c.keepsSum(ctx, algorithm)
		if err != nil {
			return err
		}
		if !kept {
			drops = append(drops, algorithm)
		}
	}
	if len(drops) > 0 {
		c.caps.PutDrops = append(c.caps.PutDrops, drops...)
		c.note("PutObject keeps no checksum by %s", strings.Join(drops, ", "))
	}
	return nil
}

// keepsSum looks a second time where none is shown; see getShown.
func (c *canary) keepsSum(ctx context.Context, algorithm string) (bool, error) {
	t, _, err := c.put(ctx, "sum", func(p *object.PutRequest) {
		p.ChecksumAlgorithm, p.Checksum, p.Target = algorithm, object.Checksum(algorithm, p.Body), &c.target
	})
	for n := 0; n < 2 && err == nil; n++ {
		var got object.GetReply
		if got, err = c.get(ctx, t.ref, c.target.CustomerKey); err == nil && got.Checksums[algorithm] != "" {
			return true, nil
		}
	}
	return false, only(undecided, err)
}
