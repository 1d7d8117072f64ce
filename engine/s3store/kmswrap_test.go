package s3store_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// TestKMSThatAnswersAnotherKey: a data key that another key than the asked one has wrapped
// or opened is no answer.
func TestKMSThatAnswersAnotherKey(t *testing.T) {
	const asked, other = "arn:aws:kms:us-east-1:111122223333:key/asked", "arn:aws:kms:us-east-1:111122223333:key/other"
	key := other
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": key, "Plaintext": make([]byte, 32), "CiphertextBlob": []byte("blob")})
	}))
	defer srv.Close()
	t.Setenv("AWS_ENDPOINT_URL_KMS", srv.URL)
	s := openFake(t, nil, s3store.Options{EndpointURL: srv.URL})
	k, err := s.KMSWraps()
	if err != nil {
		t.Fatal(err)
	}
	data, err := cse.NewDataKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	ask := map[string]func(named string) error{
		"GenerateDataKey": func(named string) error {
			_, _, err := k.GenerateDataKey(t.Context(), cse.GenerateRequest{KeyID: named})
			return err
		},
		"Decrypt": func(named string) error {
			_, err := k.Decrypt(t.Context(), cse.DecryptRequest{KeyID: named, Wrapped: []byte("blob")})
			return err
		},
		"Encrypt": func(named string) error {
			_, err := k.Encrypt(t.Context(), cse.EncryptRequest{KeyID: named, Key: data})
			return err
		},
	}
	for op, send := range ask {
		key = other
		if err := send(asked); object.ClassOf(err) != object.ClassInvalid || !strings.Contains(err.Error(), "answered with "+other) {
			t.Errorf("%s of another key: %v", op, err)
		}
		key = asked
		for _, named := range []string{asked, "asked", "alias/any"} {
			if err := send(named); err != nil {
				t.Errorf("%s of the key %s: %v", op, named, err)
			}
		}
	}
	if _, err := k.Decrypt(t.Context(), cse.DecryptRequest{Wrapped: []byte("blob")}); err != nil {
		t.Errorf("whatever key it is: %v", err)
	}
}

// TestKMSThatFails: KMS that fails by itself is away, whatever the word for it; one that asks for
// fewer requests, or refuses the key, is not.
func TestKMSThatFails(t *testing.T) {
	code, status := "", 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"__type": code, "message": "no"})
	}))
	defer srv.Close()
	t.Setenv("AWS_ENDPOINT_URL_KMS", srv.URL)
	s := openFake(t, nil, s3store.Options{EndpointURL: srv.URL})
	k, err := s.KMSWraps()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code   string
		status int
		want   object.Class
	}{
		{"KMSInternalException", 500, object.ClassKMSAway},
		{"InternalFailure", 500, object.ClassKMSAway},
		{"DependencyTimeoutException", 503, object.ClassKMSAway},
		{"KeyUnavailableException", 500, object.ClassKMSAway},
		{"", 502, object.ClassKMSAway},
		{"ThrottlingException", 400, object.ClassKMSThrottled},
		{"DisabledException", 400, object.ClassKey},
		{"KMSInvalidStateException", 400, object.ClassKey},
		{"AccessDeniedException", 400, object.ClassDenied},
	} {
		code, status = c.code, c.status
		_, err := k.Decrypt(t.Context(), cse.DecryptRequest{KeyID: "key", Wrapped: []byte("blob")})
		if object.ClassOf(err) != c.want || c.want == object.ClassKMSAway && strings.Contains(err.Error(), "the store") {
			t.Errorf("%s with %d: %v: %v", c.code, c.status, object.ClassOf(err), err)
		}
	}
}
