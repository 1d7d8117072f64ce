package iceberg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"github.com/resealhq/reseal/engine/object"
)

// wanted is what is wanted of an Avro file: these fields of its records, and of the data file that
// they name. What a block unpacks to is bounded, and with it one record: writers begin a new one
// after 64 KiB or some records, but there are such as put all into one.
type wanted struct {
	fields, ofFile []string
	block          int64 // bytes
}

var (
	wantedOfList = wanted{fields: []string{"manifest_path", "manifest_length", "partition_spec_id", "content", "sequence_number", "key_metadata"}, block: 64 << 20}
	wantedOfData = wanted{[]string{"status", "sequence_number", "data_file"}, []string{"content", "file_path", "file_format", "partition", "record_count",
		"file_size_in_bytes", "key_metadata"}, 64 << 20}
	// A byte of a list of columns becomes sixteen and more, so that the blocks are smaller.
	wantedOfDeletions = wanted{wantedOfData.fields, append(slices.Clone(wantedOfData.ofFile), "equality_ids", "referenced_data_file", "content_offset", "content_size_in_bytes"), 16 << 20}
)

// each reads the records of an Avro file, of them what is wanted.
func each(ctx context.Context, open Open, uri string, size int64, want wanted, use func(record) error) error {
	file, err := open(ctx, uri)
	if err != nil {
		return fmt.Errorf("reading %s: %w", uri, err)
	}
	defer file.Close()
	in := &counted{Reader: file}
	r, err := ocf.NewReader(in, ocf.WithMaxDecompressedBlockBytes(want.block), ocf.WithReaderSchemaFunc(func(r *ocf.Reader) (*avro.Schema, error) {
		return narrowed(r.Schema(), want)
	}))
	if err != nil {
		return fmt.Errorf("%s is no Avro file that can be read: %w", uri, err)
	}
	defer r.Close()
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var v map[string]any
		switch err := r.Decode(&v); {
		case errors.Is(err, io.EOF):
			if size >= 0 && in.n != size {
				return fmt.Errorf("%s has %d bytes, and its list says %d", uri, in.n, size)
			}
			return nil
		case err != nil:
			return fmt.Errorf("%s, record %d: %w", uri, n+1, err)
		}
		if err := use(v); err != nil {
			return fmt.Errorf("%s, record %d: %w", uri, n+1, err)
		}
	}
}

// narrowed is the schema of a file without the fields that nobody wants: what they hold is
// skipped and takes no memory, whatever it claims to be. A manifest has statistics of every
// column, and two bytes of them can become four hundred.
func narrowed(writer *avro.Schema, want wanted) (*avro.Schema, error) {
	root := writer.Root()
	if root.Type != "record" {
		return nil, errors.New("its records are none")
	}
	keep(root, want.fields)
	s := values{}
	for i := range root.Fields {
		f := &root.Fields[i]
		if f.Name != "data_file" {
			if err := s.simple(&f.Type, f.Name); err != nil {
				return nil, err
			}
			continue
		}
		if f.Type.Type != "record" {
			return nil, errors.New("its field data_file is no record")
		}
		keep(&f.Type, want.ofFile)
		for j := range f.Type.Fields {
			if err := s.ofFile(&f.Type.Fields[j]); err != nil {
				return nil, err
			}
		}
	}
	return root.Schema()
}

func keep(n *avro.SchemaNode, names []string) {
	n.Fields = slices.DeleteFunc(n.Fields, func(f avro.SchemaField) bool { return !slices.Contains(names, f.Name) })
}

// ofFile checks a field of a data file: values, the values of its partition, and the list of
// the columns that a deletion is about.
func (s values) ofFile(f *avro.SchemaField) error {
	switch {
	case f.Name == "partition" && f.Type.Type == "record":
		for i := range f.Type.Fields {
			if err := s.simple(&f.Type.Fields[i].Type, "partition"); err != nil {
				return err
			}
		}
		return nil
	case f.Name == "equality_ids":
		for _, n := range branches(&f.Type) {
			if n.Type == "array" && n.Items != nil {
				n = n.Items
			}
			if err := s.simple(n, f.Name); err != nil {
				return err
			}
		}
		return nil
	}
	return s.simple(&f.Type, f.Name)
}

// values are the named types that have been seen and are numbers of bytes, or words.
type values map[string]bool

// simple refuses what can hold more than one value.
func (s values) simple(n *avro.SchemaNode, field string) error {
	for _, n := range branches(n) {
		switch {
		case n.Type == "fixed" || n.Type == "enum":
			s[n.Name], s[n.Namespace+"."+n.Name] = true, true
		case !slices.Contains([]string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}, n.Type) && !s[n.Type]:
			return fmt.Errorf("its field %s is of the type %s, which is not known there", field, object.Cut(n.Type, 80))
		}
	}
	return nil
}

func branches(n *avro.SchemaNode) (all []*avro.SchemaNode) {
	if n.Type != "union" {
		return []*avro.SchemaNode{n}
	}
	for i := range n.Branches {
		all = append(all, &n.Branches[i])
	}
	return all
}

// maxText bounds a value of a record in bytes. No path and no partition has as many.
const maxText = 8 << 10

// tooLong says whether a value is a text or bytes that are longer.
func tooLong(v any) bool {
	switch v := v.(type) {
	case string:
		return len(v) > maxText
	case []byte:
		return len(v) > maxText
	}
	return false
}

// canonical are the values of a partition, as bytes that are the same for the same values.
func canonical(partition any) ([]byte, error) {
	all, ok := partition.(map[string]any)
	if !ok && partition != nil {
		return nil, fmt.Errorf("its partition is a %T", partition)
	}
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v := all[name]
		if tooLong(v) {
			return nil, errors.New("a value of its partition is too long")
		}
		if s, ok := v.(fmt.Stringer); ok { // a decimal is a pointer
			v = s.String()
		}
		fmt.Fprintf(&b, "%q %T %#v\n", name, all[name], v)
	}
	return b.Bytes(), nil
}
