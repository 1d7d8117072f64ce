package upload

import (
	"fmt"

	"github.com/resealhq/reseal/engine/object"
)

// Journal keeps what a multipart copy needs to be resumed or cleaned up. Its methods
// return when the change is durable.
type Journal interface {
	SaveUpload(u object.Upload) error
	SavePart(seq uint64, p object.Part) error
	Upload(seq uint64) (u object.Upload, parts []object.Part, found bool, err error)
	DropUpload(seq uint64) error
}

// Leftovers is the second interface of a Journal: the uploads whose task has an
// outcome already, so that no worker will take them up again.
type Leftovers interface {
	Leftovers() ([]object.Upload, error)
}

// JournalError is the error of a journal that cannot be read or written. It stops
// the run: what cannot be remembered must not be done.
func JournalError(how string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the job's checkpoint cannot be %s: %w", how, err)
}

// save makes the record of an upload durable.
func (c *Copier) save(u object.Upload) error {
	return JournalError("written", c.Journal.SaveUpload(u))
}

// Forget drops the record of an upload.
func (c *Copier) Forget(seq uint64) error {
	return JournalError("written", c.Journal.DropUpload(seq))
}
