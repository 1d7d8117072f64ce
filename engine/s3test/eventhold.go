package s3test

import (
	"strconv"
	"time"
)

// EventHold is the variable retention of Object Lock: while it is on, the object
// is kept until its duration from now, however late it is; the zero value is off.
type EventHold struct {
	On          bool
	Days, Years int
}

// until is the date that is shown while the hold is on.
func (h EventHold) until(now time.Time) time.Time { return now.AddDate(h.Years, 0, h.Days) }

// retainedUntil is the date that HEAD and GetObjectRetention show.
func (a *Attrs) retainedUntil(now time.Time) time.Time {
	if u := a.EventHold.until(now); a.EventHold.On && u.After(a.RetainUntil) {
		return u
	}
	return a.RetainUntil
}

const hEventHold = "x-amz-object-lock-event-hold"

// eventHoldOf reads the headers of a write.
func eventHoldOf(q *request) (h EventHold, err *s3Error) {
	switch q.h(hEventHold) {
	case "", "OFF":
		return h, nil
	case "ON":
		h.On = true
	default:
		return h, errInvalidArgument("Unknown event hold status.")
	}
	days, badDays := number(q.h(hEventHold + "-duration-days"))
	years, badYears := number(q.h(hEventHold + "-duration-years"))
	h.Days, h.Years = days, years
	if badDays || badYears || !h.valid() {
		return h, errInvalidArgument("An event hold needs a duration of 1 to 36500 days or of 1 to 100 years.")
	}
	return h, nil
}

func number(s string) (n int, bad bool) {
	if s == "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err != nil
}

// valid: a duration in days or in years, not both.
func (h EventHold) valid() bool {
	return h.Years == 0 && 1 <= h.Days && h.Days <= 36500 || h.Days == 0 && 1 <= h.Years && h.Years <= 100
}

// show sets the headers of HEAD and GET.
func (h EventHold) show(r *reply) {
	if !h.On {
		return
	}
	r.set(hEventHold, "ON")
	if h.Days > 0 {
		r.set(hEventHold+"-duration-days", itoa(h.Days))
	}
	if h.Years > 0 {
		r.set(hEventHold+"-duration-years", itoa(h.Years))
	}
}

// write tells the duration in a document.
func (h EventHold) write(x *xmlDoc, element string) {
	x.open(element)
	if h.Days > 0 {
		x.int("Days", int64(h.Days))
	}
	if h.Years > 0 {
		x.int("Years", int64(h.Years))
	}
	x.close(element)
}
