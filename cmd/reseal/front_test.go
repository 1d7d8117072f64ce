package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// front stands before a stage's store and may say something else than it does.
type front struct {
	// instead, where it returns true, has answered in the store's place.
	instead func(w http.ResponseWriter, r *http.Request) bool
	// change makes another reply of the store's.
	change func(reply *http.Response, body []byte) []byte
}

// behind is the stage as its processes see it behind f, over TLS.
func (st *stage) behind(t *testing.T, f front) *stage {
	t.Helper()
	store, err := url.Parse(st.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	way := http.DefaultTransport.(*http.Transport).Clone()
	way.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the store is this process's own
	pass := &httputil.ReverseProxy{
		Transport: way,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(store)
			p.Out.Host = p.In.Host // it is signed
		},
		ModifyResponse: func(reply *http.Response) error {
			if f.change == nil {
				return nil
			}
			body, err := io.ReadAll(reply.Body)
			if err != nil {
				return err
			}
			if reply.Request.Method != http.MethodHead {
				body = f.change(reply, body)
				reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				reply.Header.Set("Content-Length", strconv.Itoa(len(body)))
				return nil
			}
			f.change(reply, nil)
			return nil
		},
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.instead == nil || !f.instead(w, r) {
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "front.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	there := *st
	there.env = slices.DeleteFunc(slices.Clone(st.env), func(kv string) bool {
		return strings.HasPrefix(kv, "AWS_ENDPOINT_URL") || strings.HasPrefix(kv, "AWS_CA_BUNDLE=")
	})
	there.env = append(there.env, "AWS_ENDPOINT_URL="+server.URL, "AWS_ENDPOINT_URL_KMS="+server.URL, "AWS_CA_BUNDLE="+ca)
	return &there
}

// signingKey is a file with a key that evidence can be signed with.
func signingKey(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte("t"), ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "officer.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
