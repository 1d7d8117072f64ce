package planner

import "github.com/resealhq/reseal/engine/object"

// line is where an object is counted.
type line struct {
	work   *Amount
	ground *Amount // nil where nobody would wonder
}

// lines are where objects are counted that agree in all that work and grounds look
// at. Most tasks are as the one before, so that one's is at hand.
type lines struct {
	by   map[kindred]line
	last struct {
		kindred
		line
	}
}

// line is where the object is counted.
func (e *Estimator) line(o *object.Object, op object.Operation) line {
	c := e.opt.Chooser
	k := c.kindred(o, op)
	if e.lines.last.work != nil && k == e.lines.last.kindred {
		return e.lines.last.line
	}
	l, known := e.lines.by[k]
	if !known {
		l.work = at(e.work, workKey{k.source, k.class, op})
		if c != nil {
			if g, is := c.why(k, e.opt.Key); is {
				l.ground = at(e.grounds, g)
			}
		}
		e.lines.by[k] = l
	}
	e.lines.last.kindred, e.lines.last.line = k, l
	return l
}
