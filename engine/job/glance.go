package job

import (
	"time"

	"github.com/resealhq/reseal/engine/report"
)

// Glance is where the job stands as the process at work tells it, without a look into
// the checkpoint; false where none tells anything, so that Status has to be asked. It
// is cheap enough to be called every second.
func (j *Job) Glance() (report.Standing, *Live, bool) {
	now := time.Now()
	l, err := readLive(j, now)
	if err != nil || l == nil || l.Stage == "ended" {
		return report.Standing{}, nil, false
	}
	return j.atWork(l, now), l, true
}
