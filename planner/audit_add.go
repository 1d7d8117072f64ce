package planner

import (
	"cmp"
	"fmt"
	"slices"
)

// Add takes in what another source holds.
func (a *Audit) Add(source string, o *Audit) {
	// Each projection is off by at most its margin of its own objects.
	off := a.Margin*float64(a.Objects) + o.Margin*float64(o.Objects)
	a.Objects += o.Objects
	a.Bytes += o.Bytes
	if a.Margin = 0; a.Objects > 0 {
		a.Margin = off / float64(a.Objects)
	}
	a.Sampled += o.Sampled
	a.Unanswered += o.Unanswered
	a.Unanswer = cmp.Or(a.Unanswer, o.Unanswer)
	if o.Unread != "" {
		a.Unread = cmp.Or(a.Unread, fmt.Sprintf("%s: %s", source, o.Unread))
	}
	for _, row := range o.ByEncryption {
		same := slices.IndexFunc(a.ByEncryption, func(have AuditRow) bool {
			have.Objects, have.Bytes = row.Objects, row.Bytes
			return have == row
		})
		if same < 0 {
			a.ByEncryption = append(a.ByEncryption, row)
			continue
		}
		a.ByEncryption[same].Objects += row.Objects
		a.ByEncryption[same].Bytes += row.Bytes
	}
	slices.SortFunc(a.ByEncryption, compareRows)
	a.Sources = append(a.Sources, AuditedSource{source, *o})
}
