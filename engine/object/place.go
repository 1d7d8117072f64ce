package object

// Place is where an object stands in a plan.
type Place struct {
	Seq uint64
	Key string
}
