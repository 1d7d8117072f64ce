package planner

// UnusableError is a source that no plan can be made of as it is: a manifest
// that is none, a file that is missing or damaged, a row that means another
// bucket. It is found before the first row is given out, so nothing was touched
// (exit code 2); trouble on the way to the source is an ordinary error.
type UnusableError struct {
	// Where names the file, and the line, row group or stripe where there is one.
	Where string
	// What is wrong, and what the person can do about it.
	What, Fix string
	// Err is the cause, where there is one.
	Err error
}

// Error has the three parts of every message: what failed, on what, what to do.
func (e *UnusableError) Error() string {
	s := e.What
	if e.Where != "" {
		s = e.Where + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// Unwrap gives the cause.
func (e *UnusableError) Unwrap() error { return e.Err }
