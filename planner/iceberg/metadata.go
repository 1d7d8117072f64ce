package iceberg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Field is a column of the table's current schema. Columns of files are found by their ID.
type Field struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	// Type is the name of a primitive type; empty for one that has parts.
	Type string `json:"-"`
	// Default says that rows of files without the column have a value of their own.
	Default bool `json:"-"`
}

// metadata is the table's metadata.json, as far as it is needed.
type metadata struct {
	Version    int        `json:"format-version"`
	UUID       string     `json:"table-uuid"`
	Location   string     `json:"location"`
	SchemaID   int        `json:"current-schema-id"`
	Schemas    []schema   `json:"schemas"`
	Schema     *schema    `json:"schema"` // of version 1
	Snapshot   *int64     `json:"current-snapshot-id"`
	Snapshots  []snapshot `json:"snapshots"`
	Specs      []spec     `json:"partition-specs"`
	Properties map[string]string
	Keys       []json.RawMessage `json:"encryption-keys"`
}

type schema struct {
	ID     int `json:"schema-id"`
	Fields []struct {
		Field
		RawType json.RawMessage `json:"type"`
		Initial json.RawMessage `json:"initial-default"`
	} `json:"fields"`
}

type snapshot struct {
	ID        int64  `json:"snapshot-id"`
	Timestamp int64  `json:"timestamp-ms"`
	List      string `json:"manifest-list"`
	KeyID     string `json:"key-id"`
}

type spec struct {
	ID     int               `json:"spec-id"`
	Fields []json.RawMessage `json:"fields"`
}

const newest = 3 // version of the format

// maxValues bounds the memory for the metadata, where three bytes can be a snapshot. A
// table of a hundred thousand snapshots has a third of it.
const maxValues = 8_000_000

// parse reads metadata.json and refuses what it cannot be sure to understand.
func parse(data []byte) (*metadata, error) {
	if bytes.Count(data, []byte{','}) > maxValues {
		return nil, fmt.Errorf("its metadata has more than %d values", maxValues)
	}
	m := new(metadata)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("it is no metadata of an Iceberg table: %w", err)
	}
	switch {
	case m.Version < 1 || m.UUID == "" && m.Version > 1:
		return nil, errors.New("it is no metadata of an Iceberg table")
	case m.Version > newest:
		return nil, fmt.Errorf("it is of version %d of the format, and those up to %d are known", m.Version, newest)
	case len(m.Keys) > 0 || m.Properties["encryption.key-id"] != "":
		return nil, errors.New("the table is encrypted by keys of its own")
	}
	return m, nil
}

// fields are the columns of the current schema.
func (m *metadata) fields() ([]Field, error) {
	all := m.Schemas
	if len(all) == 0 && m.Schema != nil {
		all = []schema{*m.Schema}
	}
	for i := range all {
		if len(m.Schemas) > 0 && all[i].ID != m.SchemaID {
			continue
		}
		var fields []Field
		for _, f := range all[i].Fields {
			if f.ID <= 0 || f.Name == "" {
				return nil, errors.New("a column of its schema has no ID or no name")
			}
			_ = json.Unmarshal(f.RawType, &f.Type) // what is no string has parts
			f.Default = len(f.Initial) > 0 && string(f.Initial) != "null"
			fields = append(fields, f.Field)
		}
		return fields, nil
	}
	return nil, errors.New("its current schema is not there")
}

// snapshot is the one with that ID, the current one for 0.
func (m *metadata) snapshot(id int64) (*snapshot, error) {
	if id == 0 {
		if m.Snapshot == nil || *m.Snapshot == -1 {
			return nil, errors.New("the table has no snapshot, so it holds no rows yet")
		}
		id = *m.Snapshot
	}
	for i := range m.Snapshots {
		s := &m.Snapshots[i]
		switch {
		case s.ID != id:
		case s.KeyID != "":
			return nil, errors.New("the snapshot is encrypted by a key of its own")
		case s.List == "":
			return nil, errors.New("the snapshot names no manifest list")
		case len(s.List) > maxText:
			return nil, fmt.Errorf("the snapshot names a manifest list by %d bytes", len(s.List))
		default:
			return s, nil
		}
	}
	return nil, fmt.Errorf("it has no snapshot %d any more: S3 Tables keeps each for some days only", id)
}

// partitioned says whether a partition spec divides the table.
func (m *metadata) partitioned(id int32) (bool, error) {
	if m.Version == 1 {
		return false, nil // it has no deletions, which alone ask for partitions
	}
	for _, s := range m.Specs {
		if s.ID == int(id) {
			return len(s.Fields) > 0, nil
		}
	}
	return false, fmt.Errorf("it has no partition spec %d", id)
}

func (s *snapshot) time() time.Time { return time.UnixMilli(s.Timestamp).UTC() }

// IsMetadata says whether a file that begins so may be a table's metadata.json.
func IsMetadata(head []byte) bool {
	text := string(head)
	return strings.Contains(text, `"format-version"`) && (strings.Contains(text, `"table-uuid"`) || strings.Contains(text, `"current-schema-id"`))
}
