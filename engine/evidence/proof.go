package evidence

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/resealhq/reseal/engine/report"
)

// Proof shows of one object what the evidence says of it, with the signed
// statement but without the other rows.
type Proof struct {
	// Row is the line of report.csv, with its line break, in base64: a key need not
	// be UTF-8.
	Row []byte `json:"row"`
	// Index of the row, from 0, and the hashes from its neighbour up to the root, in
	// base64.
	Index uint64   `json:"index"`
	Path  []string `json:"path"`
}

// Prove makes the proofs of every row of bucket and key (one a version). It reads
// the rows twice, and holds none.
func Prove(dir, bucket, key string) ([]Proof, error) {
	return ProveRows(dir, func(b, k string) bool { return b == bucket && k == key })
}

// ProveRows is Prove for the rows of which is says by bucket and key that they are meant.
func ProveRows(dir string, is func(bucket, key string) bool) ([]Proof, error) {
	var proofs []Proof
	rows := uint64(0)
	err := eachRow(dir, func(line []byte, fields []string) error {
		if is(fields[0], fields[1]) {
			proofs = append(proofs, Proof{Row: bytes.Clone(line), Index: rows})
		}
		rows++
		return nil
	})
	if err != nil || len(proofs) == 0 {
		return nil, err
	}
	paths := make([]*path, len(proofs))
	for i := range proofs {
		paths[i] = newPath(proofs[i].Index, rows)
	}
	err = eachLine(dir, func(line []byte) error {
		for _, p := range paths {
			p.add(line)
		}
		return nil
	})
	for i, p := range paths {
		for _, h := range p.hashes() {
			proofs[i].Path = append(proofs[i].Path, base64.StdEncoding.EncodeToString(h[:]))
		}
	}
	return proofs, err
}

// CheckProof says what a proof shows, against an envelope that key signed: the
// row's columns by name.
func CheckProof(proof, sealed []byte, key crypto.PublicKey) (map[string]string, error) {
	statement, _, err := open(sealed, key)
	if err != nil {
		return nil, bad(envelopeName, err)
	}
	s, err := parseStatement(statement)
	if err != nil {
		return nil, bad(envelopeName, err)
	}
	var p Proof
	d := json.NewDecoder(bytes.NewReader(proof))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("it is no proof: %w", err)
	}
	if same, err := json.Marshal(&p); err != nil || !bytes.Equal(bytes.TrimSuffix(proof, []byte("\n")), same) {
		return nil, errors.New("it is not written as proofs are here")
	}
	want, err := hashOf(s.Predicate.Root)
	if err != nil {
		return nil, err
	}
	hashes := make([]hash, 0, len(p.Path))
	for _, text := range p.Path {
		b, err := strictBase64(text)
		if err != nil || len(b) != len(hash{}) {
			return nil, errors.New("it is no proof: a hash of its path is none")
		}
		hashes = append(hashes, hash(b))
	}
	root, err := climb(leafHash(p.Row), p.Index, s.Predicate.Rows, hashes)
	if err != nil {
		return nil, err
	}
	if root != want {
		return nil, errors.New("the proof does not lead to the root that was signed")
	}
	return parseRow(p.Row)
}

func parseRow(line []byte) (map[string]string, error) {
	fields, err := split(line)
	if err != nil {
		return nil, err
	}
	row := make(map[string]string, len(fields))
	for i, name := range report.Columns()[:len(fields)] {
		row[name] = fields[i]
	}
	return row, nil
}
