package job

import (
	"context"
	"errors"
	"slices"
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
	for {
		page, err := store.ListPage(ctx, q)
		if err != nil {
			return nil, err
		}
		found = append(found, page.Prefixes...)
		if !page.Truncated || page.NextToken == "" || page.NextToken == q.ContinuationToken {
			break
		}
		q.ContinuationToken = page.NextToken
	}
	slices.Sort(found)
	for _, prefix := range slices.Compact(found) {
		at := statePlace(store, bucket, prefix)
		data, _, err := at.Read(ctx, fileName)
		switch {
		case errors.Is(err, ledger.ErrNone) || err == nil && len(data) == 0:
		case err != nil:
			return nil, err
		default:
			places = append(places, "s3://"+bucket+"/"+strings.TrimRight(prefix, "/"))
		}
	}
	return places, nil
}
