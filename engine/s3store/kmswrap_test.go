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
