package s3store

import (
	"net/http"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

func TestW2AKeyOfAnotherRegion(t *testing.T) {
	clean(t)
	s, _ := opened(t, Options{Region: "us-east-1"}, func(*http.Request) *http.Response {
		return answered(200, "", "X-Amz-Bucket-Region", "eu-west-1")
	})
	key := Key{ARN: "arn:aws:kms:us-east-1:1:key/k", Region: "us-east-1"}
	err := s.KeyElsewhere(t.Context(), "b", key)
	if object.ClassOf(err) != object.ClassKey || !strings.Contains(err.Error(), "us-east-1") || !strings.Contains(err.Error(), "name a key of eu-west-1") {
		t.Errorf("%v", err)
	}
	key.Region = "eu-west-1"
	if err := s.KeyElsewhere(t.Context(), "b", key); err != nil {
		t.Error(err)
	}
	other, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9", Region: "local"}, nil)
	if err := other.KeyElsewhere(t.Context(), "b", key); err != nil {
		t.Errorf("another store's regions are its own business: %v", err)
	}
}

func TestW11TheCeilingOfAKeyStore(t *testing.T) {
	for _, tc := range []struct {
		k    Key
		want int
	}{
		{Key{Origin: "AWS_KMS"}, 0}, {Key{Origin: "EXTERNAL"}, 0}, {Key{}, 0},
		{Key{Origin: "AWS_CLOUDHSM", CustomStore: "cks-1"}, 1800}, {Key{Origin: "EXTERNAL_KEY_STORE", CustomStore: "cks-2"}, 1800}, {Key{Origin: "EXTERNAL_KEY_STORE"}, 1800},
	} {
		if got := tc.k.Ceiling(); got != tc.want {
			t.Errorf("%+v: %d", tc.k, got)
		}
	}
	clean(t)
	t.Setenv("AWS_ENDPOINT_URL_KMS", "https://127.0.0.1:9")
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, nil)
	s.cfg.HTTPClient = roundTrips(func(*http.Request) *http.Response {
		return answered(200, `{"KeyMetadata":{"Arn":"arn:aws:kms:eu-west-1:1:key/k","KeyState":"Enabled","Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"cks-9"}}`)
	})
	if k, err := s.ResolveKey(t.Context(), "k"); err != nil || k.CustomStore != "cks-9" || k.Ceiling() != 1800 {
		t.Errorf("%+v, %v", k, err)
	}
}

type roundTrips func(*http.Request) *http.Response

func (f roundTrips) Do(r *http.Request) (*http.Response, error) {
	resp := f(r)
	resp.Request = r
	return resp, nil
}

// TestS1KMSThatRepeatsRequests: the errors of KMS are cut and compared as those of
// the store are.
func TestS1KMSThatRepeatsRequests(t *testing.T) {
	clean(t)
	t.Setenv("AWS_SESSION_TOKEN", leakToken)
	t.Setenv("AWS_ENDPOINT_URL_KMS", "https://127.0.0.1:9")
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, nil)
	var sent []string
	said := func(r *http.Request) string { return "" }
	s.cfg.HTTPClient = roundTrips(func(r *http.Request) *http.Response {
		sent = secretsOf(r)
		return answered(400, `{"__type":"`+said(r)+`","message":"`+said(r)+`"}`, "X-Amzn-Requestid", said(r))
	})
	for name, form := range leakForms {
		for which := range 2 {
			said = func(r *http.Request) string { return form(secretsOf(r)[which]) }
			_, err := s.ResolveKey(t.Context(), "k")
			if err == nil {
				t.Fatal("no error")
			}
			findLeak(t, name, errorText(err), sent)
		}
	}
	said = func(*http.Request) string { return strings.Repeat("x", 500000) }
	if _, err := s.ResolveKey(t.Context(), "k"); len(err.Error()) > 4<<10 {
		t.Errorf("%d bytes", len(err.Error()))
	}
}

// TestW8HintsNameTheirPartition: what is to be granted is named as the store's own
// partition names it, in errors and in what doctor lists.
func TestW8HintsNameTheirPartition(t *testing.T) {
	for region, want := range map[string]string{"us-gov-west-1": "arn:aws-us-gov:s3:::b", "cn-north-1": "arn:aws-cn:s3:::b", "eusc-de-east-1": "arn:aws-eusc:s3:::b", "eu-west-1": "arn:aws:s3:::b"} {
		clean(t)
		s, _ := opened(t, Options{Region: region}, func(r *http.Request) *http.Response {
			return answered(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "X-Amz-Bucket-Region", region)
		})
		_, err := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"})
		if err == nil || !strings.Contains(err.Error(), "on "+want+";") {
			t.Errorf("%s: %v", region, err)
		}
		permissions, err := s.CheckRead(t.Context(), object.Ref{Bucket: "b", Key: "k"}, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range permissions {
			if !strings.HasPrefix(p.Resource, want) {
				t.Errorf("%s: %s on %s", region, p.Action, p.Resource)
			}
		}
	}
}
