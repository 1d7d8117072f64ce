package object_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestPersistedNames: what a job directory holds is read by these names, whatever
// the fields come to be called.
func TestPersistedNames(t *testing.T) {
	for _, v := range []any{object.Capabilities{}, object.BucketFacts{}, object.Encryption{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			if f := typ.Field(i); f.Tag.Get("json") != f.Name {
				t.Errorf("%s.%s is written as %q", typ.Name(), f.Name, f.Tag.Get("json"))
			}
		}
	}
}

// TestReadsFormat1 reads what a job of the first format froze.
func TestReadsFormat1(t *testing.T) {
	const frozen = `{"Source":"canary","Encrypts":"yes","Route":"copy","EncryptedRoute":"replace","Multipart":"yes",
		"CopySourceIfMatch":"yes","CopyIfMatch":"no","CompleteIfMatch":"yes","ShownKeyID":"arn:aws:kms:k","Notes":["a"]}`
	var got object.Capabilities
	if err := json.Unmarshal([]byte(frozen), &got); err != nil {
		t.Fatal(err)
	}
	want := object.Capabilities{Source: "canary", Encrypts: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteReplace,
		Multipart: object.Yes, CopySourceIfMatch: object.Yes, CopyIfMatch: object.No, CompleteIfMatch: object.Yes,
		ShownKeyID: "arn:aws:kms:k", Notes: []string{"a"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v\nwant %+v", got, want)
	}
	const facts = `{"Versioning":"enabled","ACLsDisabled":"yes","DefaultEncryption":{"Type":"sse-kms","KMSKeyID":"k","BucketKey":true,"CustomerKeyMD5":""},"Region":"r"}`
	var f object.BucketFacts
	if err := json.Unmarshal([]byte(facts), &f); err != nil {
		t.Fatal(err)
	}
	if f.Versioning != object.VersioningEnabled || f.ACLsDisabled != object.Yes || f.Region != "r" ||
		f.DefaultEncryption != (object.Encryption{Type: object.SSEKMS, KMSKeyID: "k", BucketKey: true}) {
		t.Errorf("read %+v", f)
	}
}

// TestNumbersStay: operations and request kinds are numbers in a checkpoint.
func TestNumbersStay(t *testing.T) {
	for i, name := range []string{"undecided", "", "update", "copy", "multipart", "rewrite", "rewrap"} {
		if got := object.Operation(i).String(); got != name {
			t.Errorf("operation %d is %q, was %q", i, got, name)
		}
	}
	for i, name := range []string{"list", "head", "copy", "update", "create", "part", "complete", "abort", "list_parts", "get", "get_detail", "put_detail", "put", "kms", "delete"} {
		if got := object.RequestKind(i).String(); got != name {
			t.Errorf("request kind %d is %q, was %q", i, got, name)
		}
	}
	if object.NumOperations != 7 || object.NumRequestKinds != 15 {
		t.Errorf("%d operations, %d request kinds: name the new ones here, at the end", object.NumOperations, object.NumRequestKinds)
	}
}
