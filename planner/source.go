package planner

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// Source is where the objects of a plan come from: a listing, an inventory, a
// key list.
type Source interface {
	// Read emits every row once, in pages, from many goroutines at the same time
	// if it likes. resume holds the durable cursors of an earlier process, nil for
	// a fresh start: rows that they have passed are not emitted again. The rows of
	// a page and its cursors become durable together, in the emit call; what emit
	// returned an error for was not taken. Read returns nil only if the source was
	// read to its end and nothing can be missing.
	Read(ctx context.Context, resume []object.Cursor, emit func(object.Page) error) error
}

// Sink takes the plan. The checkpoint implements it.
type Sink interface {
	// Append makes tasks and cursors durable in one step and gives the tasks their
	// Seq. It keeps neither: their memory is used again. Safe for concurrent use.
	Append(tasks []object.Task, cursors []object.Cursor) error
}
