package s3test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

var classes = []string{"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER",
	"DEEP_ARCHIVE", "GLACIER_IR", "EXPRESS_ONEZONE", "OUTPOSTS"}

// attrsOf reads the headers of a write that describe the new object; not its
// encryption and not its checksum.
func (s *Server) attrsOf(q *request, b *bucket) (*Attrs, *s3Error) {
	a := &Attrs{Owner: q.account(s.cfg.Account)}
	a.readMetadata(q)
	if q.metadataSize() > 2048 {
		return nil, fail(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
	}
	var err *s3Error
	if a.Tags, err = parseTagging(q.h("x-amz-tagging")); err != nil {
		return nil, err
	}
	if err = s.readPlacement(q, a); err != nil {
		return nil, err
	}
	if a.Grants, err = grantsOf(q, b); err != nil {
		return nil, err
	}
	if s.profile.OnlyCannedACLs && namesGrants(q) {
		return nil, errInvalidRequest("Invalid Request")
	}
	return a, s.readLock(q, b, a)
}

func (a *Attrs) readMetadata(q *request) {
	a.ContentType = q.h("Content-Type")
	if a.ContentType == "" {
		a.ContentType = "binary/octet-stream"
	}
	a.CacheControl, a.ContentDisposition = q.h("Cache-Control"), q.h("Content-Disposition")
	a.ContentLanguage, a.Expires = q.h("Content-Language"), q.h("Expires")
	var codings []string
	for c := range strings.SplitSeq(q.h("Content-Encoding"), ",") {
		if c = strings.TrimSpace(c); c != "" && c != "aws-chunked" {
			codings = append(codings, c)
		}
	}
	a.ContentEncoding = strings.Join(codings, ",")
	for name, vs := range q.http.Header {
		if m, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			if a.Metadata == nil {
				a.Metadata = map[string]string{}
			}
			a.Metadata[strings.ToLower(m)] = DecodeWords(strings.Join(vs, ","))
		}
	}
}

func (s *Server) readPlacement(q *request, a *Attrs) *s3Error {
	a.StorageClass, a.Redirect = q.h("x-amz-storage-class"), q.h("x-amz-website-redirect-location")
	switch {
	case a.StorageClass == "" || a.StorageClass == s.profile.OwnClass:
	case !slices.Contains(classes, a.StorageClass):
		return fail(http.StatusBadRequest, "InvalidStorageClass", "The storage class you specified is not valid")
	case a.StorageClass != "STANDARD" && s.profile.OnlyStandard:
		return errInvalidArgument("Unknown storage class")
	}
	if a.StorageClass == "STANDARD" || s.profile.ClassAlwaysDefault {
		a.StorageClass = ""
	}
	return nil
}

func parseTagging(h string) ([]object.Tag, *s3Error) {
	if h == "" {
		return nil, nil
	}
	bad := errInvalidArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	var tags []object.Tag
	for pair := range strings.SplitSeq(h, "&") {
		k, v, _ := strings.Cut(pair, "=")
		k, err1 := url.QueryUnescape(k)
		v, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil || k == "" {
			return nil, bad
		}
		tags = append(tags, object.Tag{Key: k, Value: v})
	}
	return tags, checkTags(tags)
}

func checkTags(tags []object.Tag) *s3Error {
	seen := map[string]bool{}
	for _, t := range tags {
		if seen[t.Key] {
			return fail(http.StatusBadRequest, "InvalidTag", "Cannot provide multiple Tags with the same key")
		}
		if len(t.Key) > 128*4 || len(t.Value) > 256*4 || t.Key == "" {
			return fail(http.StatusBadRequest, "InvalidTag", "The TagKey or TagValue you have provided is invalid")
		}
		seen[t.Key] = true
	}
	if len(tags) > 10 {
		return fail(http.StatusBadRequest, "BadRequest", "Object tags cannot be greater than 10")
	}
	return nil
}

func (s *Server) readLock(q *request, b *bucket, a *Attrs) *s3Error {
	mode, until, hold := q.h("x-amz-object-lock-mode"), q.h("x-amz-object-lock-retain-until-date"), q.h("x-amz-object-lock-legal-hold")
	event, err := eventHoldOf(q)
	if err != nil {
		return err
	}
	if mode == "" && until == "" && hold == "" && !event.On {
		if b.cfg.ObjectLock && b.cfg.DefaultLockMode != "" {
			a.LockMode, a.EventHold = b.cfg.DefaultLockMode, b.cfg.DefaultEventHold
			a.RetainUntil = s.now().AddDate(0, 0, b.cfg.DefaultLockDays)
		}
		return nil
	}
	if !b.cfg.ObjectLock && s.profile.AcceptsLockHeaders {
		return nil
	}
	if !b.cfg.ObjectLock {
		return errInvalidRequest("Bucket is missing Object Lock Configuration")
	}
	if (mode != "" || event.On) && !s.allowed(b, "s3:PutObjectRetention", q.key) || hold != "" && !s.allowed(b, "s3:PutObjectLegalHold", q.key) {
		return errAccessDenied("")
	}
	a.LegalHold, a.heldOnce, a.EventHold = hold == "ON", hold != "", event
	if event.On && until == "" {
		if mode != "GOVERNANCE" && mode != "COMPLIANCE" {
			return errInvalidArgument("An event hold needs x-amz-object-lock-mode.")
		}
		a.LockMode, a.RetainUntil = mode, event.until(s.now())
		return nil
	}
	if mode == "" && until == "" {
		if hold != "" && b.cfg.DefaultLockMode != "" {
			a.LockMode, a.RetainUntil = b.cfg.DefaultLockMode, s.now().AddDate(0, 0, b.cfg.DefaultLockDays)
		}
		return nil
	}
	t, bad := time.Parse(time.RFC3339Nano, until)
	if bad != nil || mode != "GOVERNANCE" && mode != "COMPLIANCE" {
		return errInvalidArgument("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	}
	if !t.After(s.now()) {
		return errInvalidArgument("The retain until date must be in the future!")
	}
	a.LockMode, a.RetainUntil = mode, t.UTC()
	return nil
}

var grantHeaders = []struct{ header, permission string }{
	{"x-amz-grant-full-control", "FULL_CONTROL"}, {"x-amz-grant-read", "READ"}, {"x-amz-grant-read-acp", "READ_ACP"},
	{"x-amz-grant-write-acp", "WRITE_ACP"},
}

const (
	allUsers  = "http://acs.amazonaws.com/groups/global/AllUsers"
	authUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
)

// unasked is the ownership of a bucket about which nobody has said anything, where that decides.
const unasked = "unasked"

func (b *bucket) enforced() bool {
	return b.cfg.Ownership == "" || b.cfg.Ownership == "BucketOwnerEnforced"
}

func namesGrants(q *request) bool {
	for _, g := range grantHeaders {
		if q.has(g.header) {
			return true
		}
	}
	return false
}

// grantsOf reads x-amz-acl or the x-amz-grant- headers.
func grantsOf(q *request, b *bucket) ([]object.Grant, *s3Error) {
	canned := q.h("x-amz-acl")
	var grants []object.Grant
	for _, g := range grantHeaders {
		more, err := parseGrants(q.h(g.header), g.permission)
		if err != nil {
			return nil, err
		}
		grants = append(grants, more...)
	}
	if b.enforced() && (len(grants) > 0 || canned != "" && canned != "bucket-owner-full-control") {
		return nil, fail(http.StatusBadRequest, "AccessControlListNotSupported", "The bucket does not allow ACLs")
	}
	switch canned {
	case "", "private", "bucket-owner-full-control", "bucket-owner-read":
	case "public-read":
		grants = append(grants, object.Grant{URI: allUsers, Permission: "READ"})
	case "public-read-write":
		grants = append(grants, object.Grant{URI: allUsers, Permission: "READ"}, object.Grant{URI: allUsers, Permission: "WRITE"})
	case "authenticated-read":
		grants = append(grants, object.Grant{URI: authUsers, Permission: "READ"})
	default:
		return nil, errInvalidArgument("")
	}
	return withoutOwner(grants, q), nil
}

// withoutOwner leaves out the owner's own full control, which every object has.
func withoutOwner(grants []object.Grant, q *request) []object.Grant {
	var out []object.Grant
	for _, g := range grants {
		if g.Permission == "FULL_CONTROL" && q.signed != nil && g.ID == canonicalID(q.signed.creds.Account) {
			continue
		}
		out = append(out, g)
	}
	return out
}

func parseGrants(h, permission string) ([]object.Grant, *s3Error) {
	if h == "" {
		return nil, nil
	}
	var out []object.Grant
	for f := range strings.SplitSeq(h, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(f), "=")
		v = strings.Trim(v, `"`)
		g := object.Grant{Permission: permission}
		switch k {
		case "id":
			g.ID = v
		case "uri":
			g.URI = v
		case "emailAddress":
			g.Email = v
		default:
			ok = false
		}
		if !ok || v == "" {
			return nil, errInvalidArgument("Argument format not recognized")
		}
		out = append(out, g)
	}
	return out, nil
}

// canonicalID is the canonical user ID of an account, made up from it.
func canonicalID(account string) string {
	return strings.Repeat("0", 64-len(account)) + account
}
