package realserver

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Vault is no real server: it answers as HashiCorp's does to what Ceph asks, until it is sealed. Its
// secrets engine for keys and values has keys of the names that begin with "key-", its transit
// engine those that it was asked to make.
type Vault struct {
	*httptest.Server
	Sealed  atomic.Bool
	Gone    atomic.Pointer[string] // a key that it does not have any more
	transit sync.Map               // names of keys
}

// StartVault starts one that ends with the test.
func StartVault(tb testing.TB) *Vault {
	v := new(Vault)
	v.Server = httptest.NewServer(v)
	tb.Cleanup(v.Close)
	return v
}

// Forget drops all keys that the transit engine was asked to make.
func (v *Vault) Forget() { v.transit.Clear() }

// ServeHTTP answers one request.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch gone := v.Gone.Load(); {
	case v.Sealed.Load():
		v.answer(w, http.StatusServiceUnavailable, map[string]any{"errors": []string{"Vault is sealed"}})
	case strings.HasPrefix(path, "transit/"):
		v.serveTransit(w, r, strings.TrimPrefix(path, "transit/"), name)
	case !strings.HasPrefix(name, "key-"), gone != nil && name == *gone:
		v.answer(w, http.StatusNotFound, map[string]any{"errors": []string{}})
	default:
		secret := make([]byte, 32)
		copy(secret, "a key for test data only: "+name)
		v.answer(w, http.StatusOK, map[string]any{"data": map[string]any{"data": map[string]any{"key": secret}}})
	}
}

func (v *Vault) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// serveTransit is the engine that makes data keys and opens their wraps.
func (v *Vault) serveTransit(w http.ResponseWriter, r *http.Request, path, name string) {
	var asked struct {
		Context    []byte
		Ciphertext string
	}
	body, _ := io.ReadAll(r.Body)
	if len(bytes.TrimSpace(body)) > 0 && json.Unmarshal(body, &asked) != nil {
		v.answer(w, http.StatusBadRequest, map[string]any{"errors": []string{"failed to parse JSON input"}})
		return
	}
	_, known := v.transit.Load(name)
	sealer := v.sealer(name)
	switch op, _, _ := strings.Cut(path, "/"); {
	case op == "keys" && r.Method == http.MethodGet && !known:
		v.answer(w, http.StatusNotFound, map[string]any{"errors": []string{}})
	case op == "keys":
		v.transit.Store(name, true)
		v.answer(w, http.StatusOK, map[string]any{"data": map[string]any{"name": name, "type": "aes256-gcm96"}})
	case !known:
		v.answer(w, http.StatusBadRequest, map[string]any{"errors": []string{"encryption key not found"}})
	case op == "datakey":
		fresh, nonce := make([]byte, 32), make([]byte, sealer.NonceSize())
		_, _ = rand.Read(fresh)
		_, _ = rand.Read(nonce)
		wrap := "vault:v1:" + base64.StdEncoding.EncodeToString(sealer.Seal(nonce, nonce, fresh, asked.Context))
		v.answer(w, http.StatusOK, map[string]any{"data": map[string]any{"plaintext": fresh, "ciphertext": wrap}})
	case op == "decrypt":
		wrap, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(asked.Ciphertext, "vault:v1:"))
		if len(wrap) < sealer.NonceSize() {
			v.answer(w, http.StatusBadRequest, map[string]any{"errors": []string{"invalid ciphertext: could not decode"}})
			return
		}
		plain, err := sealer.Open(nil, wrap[:sealer.NonceSize()], wrap[sealer.NonceSize():], asked.Context)
		if err != nil {
			v.answer(w, http.StatusBadRequest, map[string]any{"errors": []string{err.Error()}})
			return
		}
		v.answer(w, http.StatusOK, map[string]any{"data": map[string]any{"plaintext": plain}})
	default:
		v.answer(w, http.StatusNotFound, map[string]any{"errors": []string{}})
	}
}

// sealer is the key of that name: that of a bucket, as radosgw asks for them.
func (v *Vault) sealer(name string) cipher.AEAD {
	key := sha256.Sum256([]byte("a transit key for test data only: " + name))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return sealer
}
