package planner

import (
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestA6WhatIsNotKnownIsLeftByName: an encryption of tomorrow, and the classes of
// AWS's own services, whether a HEAD has shown them or a listing.
func TestA6WhatIsNotKnownIsLeftByName(t *testing.T) {
	c := &Chooser{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts()}
	row := object.Object{Ref: object.Ref{Bucket: "b", Key: "k"}, Size: 1, StorageClass: "AWS_BACKUP_WARM"}
	unseen := *c
	unseen.Unseen = true
	for name, got := range map[string]object.Choice{"listed": c.Choose(&row, nil), "unseen": unseen.Choose(&row, nil),
		"seen": c.Choose(&row, &object.Attributes{UnknownEncryption: "aws:backup"})} {
		if got.Operation != object.OpNone || got.Reason != object.ReasonUnsupported || !strings.Contains(got.Message, "AWS_BACKUP_WARM") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	row.StorageClass = ""
	if got := c.Choose(&row, &object.Attributes{UnknownEncryption: "aws:backup"}); got.Operation != object.OpNone || got.Reason != object.ReasonUnsupported || !strings.Contains(got.Message, `"aws:backup"`) {
		t.Errorf("%+v", got)
	}
}
