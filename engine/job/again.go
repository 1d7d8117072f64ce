package job

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// again looks anew, in every process that goes on with a job, at what the job's
// promises stand on. What was recorded stays recorded; what is so now decides.
//
// Where nothing but the way of an object changes (locks, grants, redirects can be
// there now, or cannot any more; versions are kept now), each object is decided on
// anew by what is so now. Where a promise of the plan would fail (old versions are
// not kept any more, the store does not do what it did, the key is shown as another,
// the bucket is another), the run stops and tells both.
func (s *session) again(ctx context.Context) error {
	if t := s.points.Totals(); t.PlanComplete && t.States[object.Remaining].Objects == 0 && !s.opt.RetryFailed {
		return nil // nothing will be sent
	}
	was := s.learnt
	at, err := s.settingsAgain(ctx, &was)
	if err != nil {
		return err
	}
	if err := s.same("s3://"+was.Bucket, &was.Facts, &s.learnt.Facts); err != nil {
		return err
	}
	if was.Dest != nil {
		if err := s.same("s3://"+at.Bucket, was.Dest, s.learnt.Dest); err != nil {
			return err
		}
	}
	if s.job.Spec.Target.DestFolder != "" {
		return nil // a folder is what it was
	}
	if seen := s.opt.crew.saw(was.Bucket); seen != nil { // this process has asked, for another shard
		s.learnt.Caps, s.learnt.ShownKeyID = seen.Caps, seen.ShownKeyID
		if _, err := s.sweep(ctx, s.probeNote(), at); err != nil {
			return err
		}
		return s.refuse()
	}
	if err := s.aliasMoved(ctx); err != nil {
		return err
	}
	at.Target = s.triedTarget()
	at.Known = &was.Caps
	lost, err := s.lostSince(ctx, &was, at)
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		return fmt.Errorf("the store at s3://%s does not do what it did when the job began: %s. Nothing was sent for this run; "+
			"see whether the endpoint leads to the same store as then, or begin a new job in another directory", at.Bucket, strings.Join(lost, "; "))
	}
	if c := s.opt.crew; c != nil {
		known := s.learnt
		c.seen[was.Bucket] = &known
	}
	return s.refuse()
}

// aliasMoved says where the alias of the target's key leads elsewhere by now. The job goes
// on with the key that it began with: half of its objects are under that one.
func (s *session) aliasMoved(ctx context.Context) error {
	t := &s.job.Spec.Target
	if !t.SSE.KMS() || !object.IsKMSAlias(t.keyName()) || s.learnt.ShownKeyID == "" {
		return nil
	}
	k, err := s.to.ResolveKeyFor(ctx, firstNonEmpty(t.DestBucket, s.learnt.Bucket), t.keyName())
	if err != nil {
		s.log.Debug("whether the alias still leads to the job's key is not known", "alias", t.keyName(), "error", err)
		return ctx.Err()
	}
	if !object.SameKMSKey(k.ARN, s.learnt.ShownKeyID) {
		s.log.Warn("the alias leads to another key by now; the job goes on with the one that it began with. Begin a new job for the other one",
			"alias", t.keyName(), "now", k.ARN, "job", s.learnt.ShownKeyID)
	}
	return nil
}

// tries is how often a store is asked for an ability before it counts as lost, and for a
// setting before it counts as untold.
const tries = 4

// settingsAgain reads the settings. Where the store does not tell whether versions are
// kept, and did when the job began, it is asked again: an answer that was broken on its
// way tells nothing either.
func (s *session) settingsAgain(ctx context.Context, was *learnt) (at s3store.ProbeOptions, err error) {
	untold := func(was, is *object.BucketFacts) bool {
		return was != nil && is != nil && was.Versioning != object.VersioningUnknown && is.Versioning == object.VersioningUnknown
	}
	for range tries {
		at, err = s.settings(ctx)
		if err != nil || !untold(&was.Facts, &s.learnt.Facts) && !untold(was.Dest, s.learnt.Dest) {
			break
		}
	}
	return at, err
}

// lostSince names what the store did then and was never seen to do now. An answer
// that was broken on its way looks like a store that cannot: what one canary misses
// another one of this process may see, and only what all of them miss is lost.
func (s *session) lostSince(ctx context.Context, was *learnt, at s3store.ProbeOptions) (lost []string, err error) {
	for n := range tries {
		now, err := s.probe(ctx, at)
		if err != nil {
			return nil, err
		}
		s.learnt.Caps = was.Caps
		missed := takeUp(&s.learnt.Caps, &now)
		if n == 0 {
			lost = missed
		}
		lost = slices.DeleteFunc(lost, func(what string) bool { return !slices.Contains(missed, what) })
		if len(lost) == 0 {
			break
		}
	}
	return lost, nil
}

// inReplies are the abilities that spare a request where a reply has them. Without
// one the engine asks, so that nothing fails.
var inReplies = []string{"CopyShowsEncryption", "UploadShowsEncryption", "PutShowsEncryption", "CompleteShowsETag", "CountsTags", "VersionsInReplies"}

// same compares the settings of one bucket: it logs what is decided anew, and
// answers with what nothing can be decided on.
func (s *session) same(where string, was, is *object.BucketFacts) error {
	var stop, anew []string
	for _, f := range []struct {
		name    string
		was, is fmt.Stringer
		stops   bool
	}{
		{"versioning", was.Versioning, is.Versioning, was.Versioning == object.VersioningEnabled},
		{"SSE-C blocked", was.BlocksSSEC, is.BlocksSSEC, is.BlocksSSEC == object.Yes && s.job.Spec.Target.SSE == object.SSEC},
		{"region", word(was.Region), word(is.Region), was.Region != "" && is.Region != ""},
		{"keys without versions", object.Found(was.KeepsNoneOfSome), object.Found(is.KeepsNoneOfSome), false},
		{"Object Lock", was.ObjectLock, is.ObjectLock, false},
		{"the rule that locks new objects", word(was.LockRule), lockRule(was, is), false},
		{"ACLs disabled", was.ACLsDisabled, is.ACLsDisabled, false},
		{"website", was.Website, is.Website, false},
		{"default encryption", spelledOut(was.DefaultEncryption), spelledOut(is.DefaultEncryption), false},
	} {
		if f.was == f.is {
			continue
		}
		both := fmt.Sprintf("%s was %s and is %s", f.name, f.was, f.is)
		if f.stops {
			stop = append(stop, both)
		} else {
			anew = append(anew, both)
		}
	}
	if len(stop) > 0 {
		return fmt.Errorf("%s has changed since the job began: %s. Nothing was sent for this run; set it back and run again, or begin a new job in another directory",
			where, strings.Join(stop, "; "))
	}
	if len(anew) > 0 {
		s.log.Warn("the bucket has changed since the job began; what remains is decided on anew", "bucket", where, "changes", strings.Join(anew, "; "))
	}
	return nil
}

// word is a setting that is a plain word.
type word string

// String names an absent one.
func (w word) String() string { return firstNonEmpty(string(w), "unknown") }

// lockRule is the rule now; the one from before where either was not told.
func lockRule(was, is *object.BucketFacts) word {
	if was.LockRule == "" || is.LockRule == "" {
		return word(was.LockRule)
	}
	return word(is.LockRule)
}

func spelledOut(e object.Encryption) word {
	return word(strings.TrimSpace(e.Type.String() + " " + e.KMSKeyID))
}

// takeUp brings what was recorded of a store together with what it was just seen
// to do: it names what was lost, and takes what nobody had asked before. What is
// new beside that stays unused, since the plan did without.
func takeUp(recorded, seen *object.Capabilities) (lost []string) {
	if recorded.OtherKey == object.Unknown {
		recorded.OtherKeyRoute = seen.OtherKeyRoute
	}
	for _, name := range seen.PutDrops {
		if !slices.Contains(recorded.PutDrops, name) {
			recorded.PutDrops = append(slices.Clone(recorded.PutDrops), name)
		}
	}
	for _, f := range [][2]*object.Finding{{&recorded.GetACL, &seen.GetACL}, {&recorded.CannedACL, &seen.CannedACL}} {
		if *f[1] == object.Yes { // objects may have grants, whatever was seen before
			*f[0] = object.Yes
		}
	}
	was, is := reflect.ValueOf(recorded).Elem(), reflect.ValueOf(seen).Elem()
	for i := range was.NumField() {
		name := was.Type().Field(i).Name
		switch had := was.Field(i).Interface().(type) {
		case object.Finding:
			has := is.Field(i).Interface().(object.Finding)
			if had == object.Yes && has == object.No && slices.Contains(inReplies, name) {
				was.Field(i).Set(is.Field(i))
				continue
			}
			if had == object.Yes && has != object.Yes && name != "CannedACL" { // which no object is done by
				lost = append(lost, fmt.Sprintf("%s was yes and is %s", name, has))
			}
			if had == object.Unknown {
				was.Field(i).Set(is.Field(i))
			}
		case object.SourceEncoding:
			has := is.Field(i).Interface().(object.SourceEncoding)
			if had == object.EncodingUnknown {
				was.Field(i).Set(is.Field(i))
			} else if has != had && had != object.EncodingBroken { // the plan did without keys that need it
				lost = append(lost, fmt.Sprintf("%s was %s and is %s", name, had, has))
			}
		case object.Route:
			if has := is.Field(i).Interface().(object.Route); had != object.RouteNone && has != had && !stillGoes(had, has, seen) {
				lost = append(lost, fmt.Sprintf("%s was %s and is %s", name, had, has))
			}
		case string: // Source, ShownKeyID
			if has := is.Field(i).String(); had != "" && has != had {
				lost = append(lost, fmt.Sprintf("%s was %s and is %s", name, had, word(has)))
			}
		}
	}
	return lost
}

// stillGoes says whether a cheaper route is seen now, where the first canary had an
// answer lost and took the next one, which the store takes as before.
func stillGoes(had, has object.Route, seen *object.Capabilities) bool {
	if has == object.RouteNone || has > had {
		return false
	}
	return had == object.RouteReplace && seen.Replace == object.Yes || had == object.RouteMultipart && seen.Multipart == object.Yes
}
