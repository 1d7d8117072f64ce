package main

import "github.com/resealhq/reseal/checkpoint"

func openSnapshot(j *job) (*checkpoint.Store, error) {
	return checkpoint.OpenReadOnly(j.Dir, checkpoint.Options{})
}
