package object

// Trail is where the pages of a list have led to so far. A store whose pages lead back would
// be asked for ever. Its zero value is ready for use.
type Trail map[string]struct{}

// Back says whether a page leads to where one has been read from.
func (t *Trail) Back(marker string) bool {
	if *t == nil {
		*t = Trail{"": {}} // the first page is asked for without a marker
	}
	if _, known := (*t)[marker]; known {
		return true
	}
	(*t)[marker] = struct{}{}
	return false
}
