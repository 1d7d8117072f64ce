package job

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// Below are the places of the jobs in a bucket at and directly below a place, in their
// order; each can be opened with OpenContext.
func Below(ctx context.Context, place string, c Connection) (places []string, err error) {
	bucket, prefix, err := s3store.ParseLocation(place)
	if err != nil {
		return nil, unusablef("write it as s3://BUCKET[/PREFIX]", "the place %q of jobs", place)
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	store, err := openState(ctx, c)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	found := []string{prefix}
	q := object.ListRequest{Bucket: bucket, Prefix: prefix, Delimiter: "/"}
	var been object.Trail
	for {
		page, err := store.ListPage(ctx, q)
		if err != nil {
			return nil, err
		}
		found = append(found, page.Prefixes...)
		if !page.Truncated {
			break
		}
		if been.Back(page.NextToken) {
			return nil, fmt.Errorf("s3://%s/%s: the store says that there is more, and not where", bucket, prefix)
		}
		q.ContinuationToken = page.NextToken
	}
	slices.Sort(found)
	for _, prefix := range slices.Compact(found) {
		at := statePlace(ctx, store, bucket, prefix)
		data, _, err := at.Read(ctx, fileName)
		switch {
		case errors.Is(err, ledger.ErrNone) || err == nil && len(data) == 0:
		case err != nil && !ofOneObject(err):
			return nil, err
		default: // whoever opens one that may not be read, tells
			places = append(places, "s3://"+bucket+"/"+strings.TrimRight(prefix, "/"))
		}
	}
	return places, nil
}

// openShard opens the shard of a divided job that a place in a bucket is by its name, as
// reseal shows it; nil where it is none.
func openShard(ctx context.Context, dir string, c Connection) (*Job, error) {
	above, last := path.Split(strings.TrimRight(dir, "/"))
	whole, ok := strings.CutSuffix(above, "/"+shardsName+"/")
	index, err := strconv.Atoi(last)
	if !ok || err != nil || strings.Count(whole, "/") < 3 {
		return nil, nil
	}
	j, err := OpenContext(ctx, whole, c)
	switch {
	case errors.Is(err, ErrNone):
		return nil, nil
	case err != nil:
		return nil, err
	case j.Division == nil:
		return nil, j.Close()
	}
	s, err := j.Shard(index)
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return s, nil
}

// ofOneObject says whether an error of a read may be that of this object alone, by its key or
// a policy, and hides no other.
func ofOneObject(err error) bool {
	switch object.ClassOf(err) {
	case object.ClassDenied, object.ClassInvalid, object.ClassKey:
		return true
	}
	return false
}
