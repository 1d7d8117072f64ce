package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestCopiesInVainAreTold ends a process at each of its requests from its first copy on, in
// either way, on a store whose copies keep the KMS key that an object is under. Every old
// version that such a copy leaves is told of in the row of its object, whoever made the copy.
func TestCopiesInVainAreTold(t *testing.T) {
	for _, versions := range []string{"current", "all"} {
		whole := vainly(versions)
		whole.traced = true
		asked := strings.Split(strings.TrimSpace(whole.night(t).trace), "\n")
		first := slices.IndexFunc(asked, func(r string) bool { return strings.Contains(r, `CopyObject "a"`) })
		if first < 0 {
			t.Fatal("nothing was copied")
		}
		for k := first + 1; k <= len(asked); k++ {
			for _, l := range []life{{stopAt: k}, {atRequest: k}, {atRequest: k, power: true}} {
				t.Run(fmt.Sprintf("%s/%d,dies=%t,power=%t", versions, k, l.atRequest > 0, l.power), func(t *testing.T) { vainly(versions, l).night(t) })
			}
		}
	}
}

// vainly is a night on such a store: two objects that can be read and written
// again, and one that can not without losing something.
func vainly(versions string, lives ...life) *plan {
	p := &plan{seed: 1, profile: s3test.SeaweedFS2026(), versions: versions, workers: 3, lives: lives}
	p.bucket.Versioning, p.bucket.Ownership = "Enabled", "ObjectWriter"
	p.target = job.Target{SSE: object.SSEKMS, KMSKeyID: newKey}
	p.policy = job.Policy{Operation: job.OperationAuto, Inspect: job.InspectAuto, Verify: job.VerifyAuto, Guard: job.GuardAuto, PartSize: partSize}
	for _, key := range []string{"a", "b", "c"} {
		o := s3test.Object{Key: key, Body: s3test.Bytes("body of " + key)}
		o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: p.shown(oldKey)}
		if key == "c" {
			o.Grants = []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
		}
		p.objects, p.options, p.older = append(p.objects, o), append(p.options, nil), append(p.older, false)
	}
	return p
}
