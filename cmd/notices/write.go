package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// notices are all licences, each text once, below the parts that are under it.
func notices(parts []part) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("reseal is under the Apache License 2.0, see LICENSE. These parts are compiled into it:\n\n")
	under := map[string][]string{}
	var order []string
	for i := range parts {
		p := &parts[i]
		fmt.Fprintf(&b, "  %s %s\n", p.name(), p.Version)
		names, texts, err := p.texts()
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			text := texts[n]
			if under[text] == nil {
				order = append(order, text)
			}
			under[text] = append(under[text], fmt.Sprintf("%s %s: %s", p.name(), p.Version, n))
		}
	}
	for _, text := range order {
		fmt.Fprintf(&b, "\n%s\n%s\n%s\n\n%s\n", strings.Repeat("=", 78), strings.Join(under[text], "\n"), strings.Repeat("=", 78), text)
	}
	return b.Bytes(), nil
}

func (p *part) name() string {
	if p.Path == "std" {
		return "Go's standard library and runtime"
	}
	return p.Path
}

// component is a part in CycloneDX.
type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
}

// bill is the list of the parts. It holds no time and no random number, so that two
// builds of one commit have the same.
func bill(parts []part) ([]byte, error) {
	list := struct {
		Format   string `json:"bomFormat"`
		Spec     string `json:"specVersion"`
		Version  int    `json:"version"`
		Metadata struct {
			Component component `json:"component"`
		} `json:"metadata"`
		Components []component `json:"components"`
	}{Format: "CycloneDX", Spec: "1.5", Version: 1}
	list.Metadata.Component = component{Type: "application", Name: "github.com/resealhq/reseal"}
	for _, p := range parts {
		list.Components = append(list.Components, component{"library", p.Path, p.Version, "pkg:golang/" + p.Path + "@" + p.Version})
	}
	slices.SortFunc(list.Components, func(a, b component) int { return strings.Compare(a.Name, b.Name) })
	text, err := json.MarshalIndent(list, "", "  ")
	return append(text, '\n'), err
}
