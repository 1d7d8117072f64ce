package s3store

import (
	"net/http"
	"reflect"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

const granteeXML = `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`

var detailPages = []struct {
	body  string
	quick bool
}{
	{`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Key>a&amp;b</Key><Value>1</Value></Tag><Tag><Key>c</Key><Value/></Tag></TagSet></Tagging>`, true},
	{`<Tagging><TagSet></TagSet></Tagging>`, true},
	{`<Tagging><TagSet/></Tagging>`, true},
	{`<Tagging/>`, false},
	{`<Tagging></Tagging>`, true},
	{`<Tagging><TagSet><Tag><Key>a</Key><Key>b</Key></Tag></TagSet><TagSet><Tag></Tag></TagSet></Tagging>`, true},
	{`<Tagging><TagSet><Tag><Key>a</Key><Other>b</Other></Tag></TagSet></Tagging>`, false},
	{`<Tagging><TagSet><Tag><Key><b/></Key></Tag></TagSet></Tagging>`, false},
	{`<Tagging><TagSet><Tag><Key>a</Key>`, false},
	{`<tagging></tagging>`, false},
	{`<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>o</ID><DisplayName>n</DisplayName></Owner><AccessControlList><Grant>` + granteeXML +
		`<ID>o</ID><DisplayName/></Grantee><Permission>FULL_CONTROL</Permission></Grant><Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>` +
		`<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`, true},
	{`<AccessControlPolicy><Owner><ID></ID></Owner><AccessControlList><Grant>` + granteeXML + `</Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>`, true},
	{`<AccessControlPolicy><AccessControlList/></AccessControlPolicy>`, true},
	{`<AccessControlPolicy><AccessControlList><Grant/></AccessControlList></AccessControlPolicy>`, false},
	{`<AccessControlPolicy><AccessControlList><Grant><Grantee xsi:type="Group"><URI>u</URI></Grantee></Grant></AccessControlList></AccessControlPolicy>`, false},
	{`<AccessControlPolicy><AccessControlList><Grant>` + granteeXML + `<ID>a</ID></Grantee>` + granteeXML + `<URI>u</URI></Grantee></Grant></AccessControlList></AccessControlPolicy>`, true},
	{`<AccessControlPolicy><Owner>x<ID>o</ID></Owner></AccessControlPolicy>`, false},
}

// sameDetails fails unless a document that is read by hand is what encoding/xml makes of it.
func sameDetails(t *testing.T, body string) (quickly bool) {
	t.Helper()
	rep := &reply{status: 200, header: http.Header{}, body: []byte(body)}
	if tags, ok := quickTags(body); ok {
		quickly = true
		var doc tagging
		r := newRequest("GetObjectTagging", http.MethodGet, object.Ref{})
		if err := decode(r, rep, "Tagging", &doc); err != nil || len(tags)+len(doc.TagSet.Tag) > 0 && !reflect.DeepEqual(tags, doc.TagSet.Tag) {
			t.Errorf("%q: by hand %+v, by xml %+v, %v", body, tags, doc.TagSet.Tag, err)
		}
	}
	if acl, ok := quickACL(body); ok {
		quickly = true
		var doc accessControl
		r := newRequest("GetObjectAcl", http.MethodGet, object.Ref{})
		if err := decode(r, rep, "AccessControlPolicy", &doc); err != nil || !reflect.DeepEqual(acl, doc) {
			t.Errorf("%q: by hand %+v, by xml %+v, %v", body, acl, doc, err)
		}
	}
	return quickly
}

func TestQuickDetailsAgreeWithXML(t *testing.T) {
	for _, p := range detailPages {
		if got := sameDetails(t, p.body); got != p.quick {
			t.Errorf("read by hand: %v, want %v: %q", got, p.quick, p.body)
		}
	}
}

func FuzzQuickDetails(f *testing.F) {
	for _, p := range detailPages {
		f.Add(p.body)
	}
	f.Fuzz(func(t *testing.T, body string) { sameDetails(t, body) })
}
