package main

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"

	"github.com/resealhq/reseal/engine/s3test"
)

// listenTLS listens under a certificate for loopback, and leaves its authority in dir.
func listenTLS(dir string) (net.Listener, error) {
	pair, authority, err := s3test.LoopbackCertificate()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, nullCA), authority, 0o600); err != nil {
		return nil, err
	}
	return tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}})
}

// nullCA is the certificate's file.
const nullCA = "null-ca.pem"
