package evidence

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://github.com/resealhq/reseal/evidence/v1"
)

// The names of the files.
const (
	csvName       = "report.csv"
	parquetName   = "report.parquet"
	statementName = "statement.json"
	envelopeName  = "envelope.json"
	signedName    = "signed.bin"
	signatureName = "signature.bin"
	publicName    = "public.pem"
)

// Statement is what is signed.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is one file and its SHA-256 in hex.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Predicate is what the statement says of the files.
type Predicate struct {
	Job     string    `json:"job"`
	Version string    `json:"reseal"`
	Made    time.Time `json:"made"`
	// Rows of report.csv without its header, and the root of the tree over them.
	Rows uint64 `json:"rows"`
	Root string `json:"merkleRoot"`
}

func (s *Statement) encode() ([]byte, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	return append(data, '\n'), err
}

// parseStatement reads one, and refuses what is not written as encode writes it.
func parseStatement(data []byte) (*Statement, error) {
	s := new(Statement)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("it is no statement: %w", err)
	}
	same, err := s.encode()
	if err != nil || !bytes.Equal(same, data) {
		return nil, errors.New("it is not written as statements are here")
	}
	if s.Type != statementType || s.PredicateType != predicateType {
		return nil, errors.New("it is a statement about something else")
	}
	return s, nil
}

func hashOf(text string) (h hash, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%q is no SHA-256 in hex", text)
	}
	return hash(b), nil
}
