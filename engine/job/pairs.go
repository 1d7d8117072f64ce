package job

import (
	"context"
	"errors"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// pairs adds to the places those that they are replicated to, where the job asks for it, and
// tells of each whose replica it is. S3 replicates no replica again, so that one step is
// enough. A place whose rules cannot be read ends it: nobody would miss the replicas.
func (s *session) pairs(ctx context.Context, places *[]Place) (map[Place]string, error) {
	of := map[Place]string{}
	if !s.job.Spec.Source.Pair {
		return of, nil
	}
	for _, p := range *places {
		rules, err := s.replicationOf(ctx, p)
		if err != nil {
			return nil, err
		}
		for i := range rules {
			there, some := replicaPlace(p, &rules[i])
			if !some {
				continue
			}
			if rules[i].OtherStore() { // a bucket of that name here is another one
				return nil, unusablef("leave Source.Pair out, and begin a job on the other server", "the replication rule %q of s3://%s leads to another server (%s)", rules[i].ID, p.Bucket, rules[i].Destination)
			}
			if h := s.job.home; h != nil && there.overlaps(Place{h.place.Bucket, h.place.Prefix}) {
				return nil, unusablef("name a place for the job in another bucket, or below another prefix", "the job's state would lie in %s, where %s is replicated to", h.name, p)
			}
			s.addPair(places, of, p, there)
		}
	}
	if len(of) == 0 {
		s.log.Warn("no place is replicated to another one; Source.Pair adds nothing", "source", s.job.Spec.Source.String())
	}
	return of, nil
}

func (s *session) replicationOf(ctx context.Context, p Place) ([]s3store.ReplicationRule, error) {
	rules, set, err := s.store.Replication(ctx, p.Bucket)
	switch {
	case err != nil:
		return nil, err
	case set.Denied:
		return nil, unusable("the replication rules of s3://"+p.Bucket+" may not be read, so that its replicas are not known", "grant s3:GetReplicationConfiguration, or leave Source.Pair out")
	case !set.Known && !set.Unsupported:
		return nil, unusable("the store did not tell the replication rules of s3://"+p.Bucket, "leave Source.Pair out, and name the replicas as sources")
	}
	return rules, nil
}

// replicaPlace is where the replicas of a place lie by one rule; some is false where it
// makes none of them. A replica has the key of its source.
func replicaPlace(p Place, r *s3store.ReplicationRule) (there Place, some bool) {
	bucket := r.Destination[strings.LastIndexByte(r.Destination, ':')+1:]
	prefix := p.Prefix
	if strings.HasPrefix(r.Prefix, p.Prefix) {
		prefix = r.Prefix
	}
	return Place{bucket, prefix}, r.Enabled && bucket != "" && (bucket != p.Bucket || r.OtherStore()) && strings.HasPrefix(prefix, r.Prefix)
}

// addPair adds a place, unless it is there. Of two replicas one of which lies within the
// other the wider one is taken; what was named itself stays as it was named.
func (s *session) addPair(places *[]Place, of map[Place]string, p, there Place) {
	kept := (*places)[:0:0]
	for _, have := range *places {
		switch {
		case !have.overlaps(there):
		case strings.HasPrefix(there.Prefix, have.Prefix): // it is in there
			return
		case of[have] == "":
			s.log.Warn("of a place that replicas lie in a part was named, and only that is taken", "named", have.String(), "replicas", there.String())
			return
		default:
			delete(of, have)
			continue
		}
		kept = append(kept, have)
	}
	*places = append(kept, there)
	of[there] = p.String()
	s.log.Info("replicas are taken along", "of", p.String(), "in", there.String())
}

// otherReplicaKeys says where a rule gives new replicas another key than the job gives those
// that are there: the next object that is written would be under that one.
func (s *session) otherReplicaKeys(ctx context.Context, found []PlaceFound) {
	if !s.job.Spec.Source.Pair {
		return
	}
	for i := range found {
		f := &found[i]
		if f.ReplicaOf != "" || f.Unread != "" {
			continue
		}
		rules, err := s.replicationOf(ctx, f.Place)
		if err != nil {
			continue // it was read a moment ago
		}
		for r := range rules {
			there, some := replicaPlace(f.Place, &rules[r])
			for n := range found {
				if at := &found[n]; some && at.Learnt != nil && at.overlaps(there) && rules[r].ReplicaKMSKeyID != "" && !object.SameKMSKey(rules[r].ReplicaKMSKeyID, at.Learnt.KMSKeyID) {
					s.log.Warn("a replication rule gives its replicas another key than the job does; change it as well", "bucket", f.Bucket, "rule", rules[r].ID,
						"key", rules[r].ReplicaKMSKeyID, "job", at.Learnt.KMSKeyID, "replicas", at.Place.String())
				}
			}
		}
	}
}

// Places are those that a specification names, or the buckets of the account that it means;
// its one source where it has one. It changes nothing.
func Places(ctx context.Context, spec Spec, opt Options) ([]Place, error) {
	if !spec.Source.many() {
		return []Place{{spec.Source.Bucket, spec.Source.Prefix}}, nil
	}
	opt.setDefaults()
	store, err := spec.Connection.Open(ctx, Dial{Version: opt.Version})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return spec.Source.places(ctx, store)
}

// EndsPlaces says whether what went wrong with one place would meet the others as well.
func (s *Source) EndsPlaces(ctx context.Context, err error) bool {
	return !errors.Is(err, s3store.ErrKeyElsewhere) && s.endsWith(ctx, err)
}
