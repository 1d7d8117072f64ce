package s3store

import (
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Tags and ACLs are asked of every object in some buckets. As pages of listings they
// are read by hand in the form in which stores write them, and whatever is unusual is
// left to encoding/xml; see quickListing.

// quickDocument begins to read a small document by hand.
func quickDocument(body, root string) (*quick, bool) {
	if !plainXML(body) {
		return nil, false
	}
	q := &quick{s: strings.TrimRight(body, " \t\n"), ok: true}
	q.prolog()
	return q, q.open(root)
}

// all takes the children of parent, and its end. Whoever is given one opens it, or
// refuses the document.
func (q *quick) all(parent string, one func(name string, empty bool)) {
	for q.ok {
		name, empty := q.child(parent)
		if name == "" {
			return
		}
		one(name, empty)
	}
}

// text takes a leaf; of one that comes twice the last counts.
func (q *quick) text(to *string, name string, empty bool) {
	if *to = ""; !empty {
		*to = q.leaf(name)
	}
}

// quickTags reads <Tagging>.
func quickTags(body string) (tags []object.Tag, ok bool) {
	q, ok := quickDocument(body, "Tagging")
	if !ok {
		return nil, false
	}
	q.all("Tagging", func(name string, empty bool) {
		if q.ok = name == "TagSet"; empty {
			return
		}
		q.all("TagSet", func(name string, empty bool) {
			var t object.Tag
			q.ok = q.ok && name == "Tag" && !empty
			q.all("Tag", func(name string, empty bool) {
				switch name {
				case "Key":
					q.text(&t.Key, name, empty)
				case "Value":
					q.text(&t.Value, name, empty)
				default:
					q.ok = false
				}
			})
			tags = append(tags, t)
		})
	})
	return tags, q.ok && q.s == ""
}

// quickACL reads <AccessControlPolicy>.
func quickACL(body string) (doc accessControl, ok bool) {
	q, ok := quickDocument(body, "AccessControlPolicy")
	if !ok {
		return doc, false
	}
	var ignored string
	q.all("AccessControlPolicy", func(name string, empty bool) {
		switch {
		case name == "Owner" && !empty:
			q.all(name, func(name string, empty bool) {
				switch name {
				case "ID":
					q.text(&doc.Owner.ID, name, empty)
				case "DisplayName":
					q.text(&ignored, name, empty)
				default:
					q.ok = false
				}
			})
		case name == "AccessControlList":
			if empty {
				return
			}
			q.all(name, func(name string, empty bool) {
				q.ok = q.ok && name == "Grant" && !empty
				doc.Grant = append(doc.Grant, q.grant())
			})
		default:
			q.ok = false
		}
	})
	return doc, q.ok && q.s == ""
}

// grant takes one up to its end. Its grantee has attributes.
func (q *quick) grant() (g grant) {
	for q.ok {
		q.space()
		if rest, is := afterGrantee(q.s); is {
			q.s = rest
			q.grantee(&g)
			continue
		}
		switch name, empty := q.child("Grant"); {
		case name == "":
			return g
		case name == "Permission":
			q.text(&g.Permission, name, empty)
		case name == "Grantee" && !empty:
			q.grantee(&g)
		default:
			q.ok = false
		}
	}
	return g
}

// afterGrantee passes the tag of a grantee, in the form in which stores write it.
func afterGrantee(s string) (rest string, is bool) {
	if rest, is = strings.CutPrefix(s, `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="`); !is {
		return s, false
	}
	for _, kind := range [...]string{`CanonicalUser">`, `Group">`} {
		if after, is := strings.CutPrefix(rest, kind); is {
			return after, true
		}
	}
	return s, false
}

func (q *quick) grantee(g *grant) {
	var ignored string
	q.all("Grantee", func(name string, empty bool) {
		switch name {
		case "ID":
			q.text(&g.Grantee.ID, name, empty)
		case "URI":
			q.text(&g.Grantee.URI, name, empty)
		case "EmailAddress":
			q.text(&g.Grantee.EmailAddress, name, empty)
		case "DisplayName":
			q.text(&ignored, name, empty)
		default:
			q.ok = false
		}
	})
}
