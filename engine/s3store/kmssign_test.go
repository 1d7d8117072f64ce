package s3store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/evidence"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestKMSSigner signs evidence with a KMS that holds one key.
func TestKMSSigner(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	algorithms := []string{"ECDSA_SHA_256"}
	asked := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			KeyID, MessageType, SigningAlgorithm string
			Message                              []byte
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		target := r.Header.Get("X-Amz-Target")
		asked[target]++
		switch target {
		case "TrentService.GetPublicKey":
			_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": "arn", "PublicKey": der, "SigningAlgorithms": algorithms})
		case "TrentService.Sign":
			if in.MessageType != "DIGEST" || in.SigningAlgorithm != "ECDSA_SHA_256" || len(in.Message) != sha256.Size {
				t.Errorf("asked to sign %+v", in)
			}
			sig, err := ecdsa.SignASN1(rand.Reader, key, in.Message)
			if err != nil {
				t.Error(err)
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"Signature": sig})
		default:
			w.WriteHeader(400)
			fmt.Fprint(w, `{"__type":"UnknownOperationException"}`)
		}
	}))
	defer srv.Close()
	fake := s3test.New(s3test.Config{})
	defer fake.Close()
	t.Setenv("AWS_ENDPOINT_URL_KMS", srv.URL)
	s := openFake(t, fake, s3store.Options{})
	signer, err := s.Signer(t.Context(), "alias/evidence")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "evidence")
	rows := report.Rows(func(row func(*object.Task, *object.Outcome) error) error { return row(&object.Task{}, nil) })
	if err := evidence.Write(t.Context(), dir, &evidence.Content{Rows: rows, Now: time.Now()}, signer); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Check(dir, &key.PublicKey); err != nil {
		t.Error(err)
	}
	if asked["TrentService.Sign"] != 1 {
		t.Errorf("asked: %v", asked)
	}
	algorithms = []string{"ECDSA_SHA_384"}
	if _, err := s.Signer(t.Context(), "alias/evidence"); object.ClassOf(err) != object.ClassKey {
		t.Errorf("a key that signs no SHA-256: %v", err)
	}
}
