package realserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// newServer is a server that is not running yet, with a folder of its own.
func newServer(o *Options) (*Server, error) {
	if len(o.Keys) == 0 {
		o.Keys = []string{"key-a", "key-b"}
	}
	dir, free, err := TempDir()
	return &Server{Keys: o.Keys, dir: dir, free: free}, err
}

// certify gives the server a certificate, and a client that trusts nothing else.
func (s *Server) certify() (err error) {
	s.CAFile, s.client, err = certify(s.dir)
	return err
}

// certify makes a certificate that is its own authority, and a client that trusts
// nothing else. Its files are public.crt, which it names, and private.key.
func certify(dir string) (caFile string, client *http.Client, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	now := time.Now()
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return "", nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, err
	}
	caFile = filepath.Join(dir, "public.crt")
	for path, block := range map[string]*pem.Block{
		caFile:                            {Type: "CERTIFICATE", Bytes: der},
		filepath.Join(dir, "private.key"): {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return "", nil, err
		}
	}
	client, err = httpClient(caFile)
	return caFile, client, err
}

// newUUID is a random one, as Ceph names what it has.
func newUUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
