package job

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/hot"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner"
)

// KeyQuestion asks what still depends on a KMS key.
type KeyQuestion struct {
	// Key is its ID, ARN or alias.
	Key string
	// Sources are looked at; with AllBuckets every bucket of the account that
	// Patterns take in, the AWS CLI's order rule deciding.
	Sources    []Source
	AllBuckets bool
	Patterns   []Pattern
	Connection Connection
	// Passed is told of every row, as they pass.
	Passed func(rows int)
}

// KeyVerdict is the answer in a word.
type KeyVerdict string

// The verdicts. KeyUnknown: nothing was found that depends, and not everything that
// was asked about could be looked at.
const (
	KeyNeeded    KeyVerdict = "needed"
	KeyNotNeeded KeyVerdict = "not-needed"
	KeyUnknown   KeyVerdict = "unknown"
)

// KeyAnswer is what depends on a key. Nothing that was not looked at is in it, but by
// name.
type KeyAnswer struct {
	// Key as it was asked for; ARN as KMS resolved it, empty where no KMS could be
	// asked. State is KMS's name for it.
	Key     string     `json:"key"`
	ARN     string     `json:"key_arn,omitempty"`
	State   string     `json:"key_state,omitempty"`
	Verdict KeyVerdict `json:"verdict"`
	// LastUsed is when KMS last saw the key at work, and Operation what it did.
	LastUsed  time.Time `json:"last_used,omitzero"`
	Operation string    `json:"last_operation,omitempty"`
	// Rotation of the key's material; nil where KMS did not tell.
	Rotation *s3store.KeyRotation `json:"rotation,omitempty"`
	Places   []KeyPlace           `json:"sources"`
	// Limits are what no answer of this kind can show.
	Limits []string `json:"not_shown"`
}

// KeyPlace is what depends on a key in one source.
type KeyPlace struct {
	Source string `json:"source"`
	planner.Needs
	// Settings of the bucket that name the key.
	Settings []string `json:"settings"`
	// Uploads under way. What they will be encrypted with no store tells.
	Uploads int `json:"uploads_under_way"`
	// NotLooked is what could not be looked at here, and why.
	NotLooked []string `json:"not_looked_at"`
}

// Needed says whether anything here depends on the key.
func (p *KeyPlace) Needed() bool { return p.Any() || len(p.Settings) > 0 }

// Unsure says whether something may depend that could not be told.
func (p *KeyPlace) Unsure() bool {
	return len(p.NotLooked) > 0 || p.Unanswered > 0 || p.Uploads > 0 || p.ClientSide.Objects > 0 || p.StoreKey.Objects > 0
}

// WhoNeeds looks for everything that depends on a KMS key, and changes nothing. A
// bucket that cannot be read is a finding and not the end. An error means that there
// is no answer.
func WhoNeeds(ctx context.Context, q KeyQuestion, opt Options) (*KeyAnswer, error) {
	opt.setDefaults()
	if err := q.validate(); err != nil {
		return nil, err
	}
	if err := errors.Join(q.Connection.Validate(), opt.Limits.Validate()); err != nil {
		return nil, err
	}
	store, err := q.Connection.Open(ctx, Dial{Version: opt.Version, Connections: opt.Concurrency})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	w := &whoNeeds{store: store, q: &q, opt: &opt, answer: &KeyAnswer{Key: q.Key, Places: []KeyPlace{}}, aliases: map[string]string{}}
	if err := w.resolve(ctx); err != nil {
		return nil, err
	}
	sources, err := w.sources(ctx)
	if err != nil {
		return nil, err
	}
	client, err := hot.Client(store)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	w.reads = inspecting(client, store, pace.New(opt.pace()), object.Target{}, opt.Log)
	w.wraps = w.newWrapAsker()
	for i := range sources {
		place, err := w.look(ctx, &sources[i])
		if err != nil {
			return nil, err
		}
		w.answer.Places = append(w.answer.Places, *place)
	}
	w.judge()
	return w.answer, nil
}

func (q *KeyQuestion) validate() error {
	switch {
	case q.Key == "":
		return unusable("the key is missing", "name it by its ID, ARN or alias")
	case q.AllBuckets && len(q.Sources) > 0:
		return unusable("KeyQuestion.Sources and KeyQuestion.AllBuckets were both given", "name one of them")
	case !q.AllBuckets && len(q.Sources) == 0:
		return unusable("nothing to look at was named", "name sources, or ask for all buckets")
	case !q.AllBuckets && len(q.Patterns) > 0:
		return unusable("KeyQuestion.Patterns were given without KeyQuestion.AllBuckets", "they choose among all buckets; leave them out")
	}
	for i := range q.Sources {
		if err := q.Sources[i].validate(); err != nil {
			return err
		}
	}
	return nil
}

type whoNeeds struct {
	store  *s3store.Store
	reads  *engine.Reads
	q      *KeyQuestion
	opt    *Options
	answer *KeyAnswer
	// aliases are those that settings name, and the ARNs behind them.
	aliases map[string]string
	// wraps asks about client-side encryption.
	wraps *wrapAsker
	// service: the key is one of AWS's own, such as that of aws/s3.
	service bool
}

// resolve finds out which key is meant. A name that no KMS can resolve is compared as
// it is, but for an alias, which no object shows.
func (w *whoNeeds) resolve(ctx context.Context) error {
	k, err := w.store.ResolveKey(ctx, w.q.Key)
	switch {
	case err == nil:
	case object.IsKMSAlias(w.q.Key) && (errors.Is(err, s3store.ErrNoKMS) || object.ClassOf(err) == object.ClassDenied):
		return unusableBecause(err, "the alias "+w.q.Key+" cannot be resolved", "name the key by its ARN, as objects show it")
	case errors.Is(err, s3store.ErrNoKMS):
		return nil
	case object.ClassOf(err) == object.ClassDenied:
		w.limit("kms:DescribeKey is denied: whether the key exists and how it stands was not looked at")
		return nil
	case object.ClassOf(err) == object.ClassKey && strings.HasPrefix(w.q.Key, "arn:"): // gone; objects may still show it
		w.answer.State = "NotFound"
		return nil
	default:
		return err
	}
	w.answer.ARN, w.answer.State, w.service = k.ARN, k.State, k.Manager == "AWS"
	if r, err := w.store.KeyRotation(ctx, k); err == nil {
		w.answer.Rotation = &r
	} else {
		w.opt.Log.Debug("how often the key was rotated is not known", slog.Any("error", err))
	}
	use, err := w.store.KeyUse(ctx, k.ARN)
	if err != nil {
		w.opt.Log.Debug("when the key was last used is not known", slog.Any("error", err))
		return ctx.Err()
	}
	w.answer.LastUsed, w.answer.Operation = use.Last, use.Operation
	return nil
}

func (w *whoNeeds) limit(text string) { w.answer.Limits = append(w.answer.Limits, text) }

// sources are what is to be looked at, buckets in the store's order.
func (w *whoNeeds) sources(ctx context.Context) ([]Source, error) {
	if !w.q.AllBuckets {
		return w.q.Sources, nil
	}
	all := Source{AllBuckets: true, Buckets: w.q.Patterns}
	places, err := all.places(ctx, w.store)
	var sources []Source
	for _, p := range places {
		sources = append(sources, p.source())
	}
	return sources, err
}

// same says whether a key, as an object or a setting shows it, is the one.
func (w *whoNeeds) same(shown string) bool {
	return object.SameKMSKey(shown, w.answer.ARN) || object.SameKMSKey(shown, w.q.Key)
}

// replica says whether a key that is shown is a replica of the key in another region: it has
// the same ID and the same material, and is a key of its own all the same.
func (w *whoNeeds) replica(shown string) bool {
	key := firstNonEmpty(w.answer.ARN, w.q.Key)
	_, id, _ := strings.Cut(key, ":key/")
	_, other, _ := strings.Cut(shown, ":key/")
	return strings.HasPrefix(id, "mrk-") && id == other && shown != key
}

// look finds what depends in one source. Its error ends everything: nobody answers.
func (w *whoNeeds) look(ctx context.Context, src *Source) (*KeyPlace, error) {
	p := &KeyPlace{Source: src.String(), Settings: []string{}, NotLooked: []string{}}
	spec := Spec{Source: *src, Connection: w.q.Connection, Selection: Selection{Versions: "all"}}
	past := &pastUnreadable{Store: w.store}
	bucket := src.Bucket
	var rows planner.Source
	if src.Manifest != "" {
		opened, err := openAudited(ctx, past.Store, &spec, w.opt)
		if err != nil {
			return p, w.notLooked(ctx, p, "the objects", err)
		}
		rows, bucket = opened, opened.Bucket()
	}
	facts, err := w.bucket(ctx, bucket, src.Prefix, p)
	if err != nil || facts == nil && rows == nil {
		return p, err
	}
	if facts == nil { // what the list names can be looked at all the same
		facts = &object.BucketFacts{}
	}
	if rows == nil {
		versions, err := listsVersions(ctx, w.store, w.reads, bucket, src.Prefix, facts.Versioning)
		if err != nil {
			return p, w.notLooked(ctx, p, "the objects", err)
		}
		if !versions {
			spec.Selection.Versions = "current"
		}
		if rows, _, err = auditSource(ctx, past, w.reads, &spec, w.opt); err != nil {
			return p, w.notLooked(ctx, p, "the objects", err)
		}
	}
	w.wraps.filesToo = src.Manifest == ""
	opt := planner.NeedsOptions{Same: w.same, Replica: w.replica, Inspect: w.wraps.inspector(perObject(underAnyKey(w.reads.Inspect))),
		Listed: w.listed, Inspectors: w.opt.pace().Workers(), Locks: facts.ObjectLock != object.No, StoreKeys: !w.store.IsAWS(), Passed: w.q.Passed, Wrapped: w.wraps.wrapped}
	found, err := planner.FindNeeds(ctx, rows, opt)
	p.Needs = *found
	if err == nil {
		err = past.lost()
	}
	return p, w.notLooked(ctx, p, "the objects, all of them", err)
}

// perObject keeps what is wrong with the key of one object from ending everything:
// the key that is asked about may well be disabled by now.
func perObject(inspect planner.Inspector) planner.Inspector {
	return func(ctx context.Context, o *object.Object) (object.Head, error) {
		h, err := inspect(ctx, o)
		var e *object.Error
		if errors.As(err, &e) && e.Class == object.ClassKey {
			own := *e
			own.Class = object.ClassDenied
			return h, &own
		}
		return h, err
	}
}

// notLooked notes what could not be looked at. It passes on what concerns everything.
func (w *whoNeeds) notLooked(ctx context.Context, p *KeyPlace, what string, err error) error {
	if err == nil {
		return nil
	}
	switch object.ClassOf(err) {
	case object.ClassCanceled, object.ClassCredentials, object.ClassUnreachable:
		return err
	}
	if ctx.Err() != nil {
		return err
	}
	p.NotLooked = append(p.NotLooked, what+": "+err.Error())
	return nil
}

// judge gives the verdict.
func (w *whoNeeds) judge() {
	a := w.answer
	a.Verdict = KeyNotNeeded
	for i := range a.Places {
		switch p := &a.Places[i]; {
		case p.Needed():
			a.Verdict = KeyNeeded
		case p.Unsure() && a.Verdict != KeyNeeded:
			a.Verdict = KeyUnknown
		}
	}
	if !w.store.IsAWS() {
		w.limit("what the store encrypts for itself, such as its own settings, and uploads under way that it does not list")
	}
	if w.q.AllBuckets && w.store.IsAWS() {
		w.limit("directory buckets, which are not listed with the others")
	}
	for i := range w.q.Sources {
		if w.q.Sources[i].Manifest != "" {
			w.limit("of a manifest: versions that it does not list, or that were written since it was made, and client-side encryption, whose envelopes its rows do not tell")
			break
		}
	}
	w.limit("envelopes of client-side encryption in instruction files that neither a mark tells nor a name that ends in .instruction")
	w.limit("data that is not in S3 (volumes, databases, secrets), and buckets that were not named")
	w.limit("objects that were written while this looked")
}
