// Command notices writes what has to lie beside a reseal binary: the licences of all
// parts that are compiled into it, and a list of these parts.
//
//	go run ./cmd/notices -o build/THIRD-PARTY-NOTICES.txt -sbom build/sbom.cdx.json
//
// The parts are those that `go list` names for every platform of a release; the texts
// come from the module cache. A part without a licence is an error.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("o", "THIRD-PARTY-NOTICES.txt", "where to write the licences")
	sbom := flag.String("sbom", "", "where to write the list of parts, in CycloneDX's JSON; nowhere by default")
	flag.Parse()
	if err := run(*out, *sbom); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run(out, sbom string) error {
	parts, err := linked("./cmd/reseal", platforms)
	if err != nil {
		return err
	}
	text, err := notices(parts)
	if err != nil {
		return err
	}
	if err := write(out, text); err != nil || sbom == "" {
		return err
	}
	list, err := bill(parts)
	if err != nil {
		return err
	}
	return write(sbom, list)
}

func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
