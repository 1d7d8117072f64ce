package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/resealhq/reseal/engine/ledger"
)

// This file writes pace.json, which several people may do at once.

// settingTries bounds how often one change gives way to others.
const settingTries = 200

// ask writes what changed makes of the setting that is asked for. What somebody else asks
// for in the same moment is in it, or is asked for after it: nothing of it is lost.
func (j *Job) ask(changed func() (*Setting, error)) (*Setting, error) {
	if j.home != nil {
		return j.home.ask(j, changed)
	}
	c, err := j.claimSetting()
	if err != nil {
		return nil, err
	}
	defer c.release()
	s, err := changed()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	if err := writeFile(j.path(paceName), append(data, '\n')); err != nil {
		return nil, unusableBecause(err, cannotSet, "see to it that the job directory can be written")
	}
	return s, nil
}

const cannotSet = "the pace of the job cannot be set"

// claimSetting waits until nobody else is changing the setting.
func (j *Job) claimSetting() (*claim, error) {
	c, err := awaitClaim(j.path(paceName + ".lock"))
	switch {
	case err != nil:
		return nil, unusableBecause(err, cannotSet, "see to it that the job directory can be written, and is on a file system that has locks")
	case c == nil:
		return nil, unusable("another process has been changing the pace of the job in "+j.Dir+" for some time", "try again")
	}
	return c, nil
}

// ask is Job.ask where the store keeps two changes apart.
func (h *home) ask(j *Job, changed func() (*Setting, error)) (*Setting, error) {
	name := j.inHome(paceName)
	for range settingTries {
		_, was, err := h.pullVersion(h.ctx, name)
		if err != nil {
			return nil, err
		}
		s, err := changed()
		if err != nil {
			return nil, err
		}
		data, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		if was == "" {
			_, err = h.place.Create(h.ctx, name, append(data, '\n'))
		} else {
			_, err = h.place.Replace(h.ctx, name, append(data, '\n'), was)
		}
		if err == nil || !errors.Is(err, ledger.ErrChanged) && !errors.Is(err, ledger.ErrExists) {
			return s, err
		}
	}
	return nil, fmt.Errorf("%s/%s is changed by others all the time; try again", h.name, name)
}

// behind is a time that is later than that of a setting, whose machine's clock may be ahead:
// whoever has asked for something waits until the run has taken up what is as late.
func behind(now time.Time, s *Setting) time.Time {
	if now.After(s.At) {
		return now
	}
	return s.At.Add(time.Millisecond)
}
