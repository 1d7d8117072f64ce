package main

import "bytes"

var (
	nullTags = nullReply("200 OK", "", `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`+
		`<TagSet><Tag><Key>team</Key><Value>storage</Value></Tag><Tag><Key>class</Key><Value>c2</Value></Tag></TagSet></Tagging>`)
	nullACL = nullReply("200 OK", "", `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>null</ID></Owner>`+
		`<AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>null</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>`)
)

// nullDetail answers for the tags and the ACL of an object.
func nullDetail(target []byte) (reply []byte, is bool) {
	path, query, _ := bytes.Cut(target, []byte("?"))
	if !isNullObject(path) {
		return nil, false
	}
	switch name, _, _ := bytes.Cut(query, []byte("=")); string(name) {
	case "tagging":
		return nullTags, true
	case "acl":
		return nullACL, true
	}
	return nil, false
}
