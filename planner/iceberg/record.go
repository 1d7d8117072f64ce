package iceberg

import (
	"errors"
	"fmt"
)

// record is one of an Avro file, by the names of its fields.
type record map[string]any

// listed is an entry of a manifest list.
type listed struct {
	Path     string
	Length   int64
	Spec     int32
	Content  int64
	Sequence int64
}

// listedOf reads one. Lists of version 1 have neither kinds nor sequence numbers: all of
// their files are data.
func listedOf(r record) (m listed, err error) {
	var spec int64
	err = errors.Join(r.text("manifest_path", &m.Path, true), r.number("manifest_length", &m.Length, true), r.number("partition_spec_id", &spec, true),
		r.number("content", &m.Content, false), r.number("sequence_number", &m.Sequence, false), r.plain())
	m.Spec = int32(spec)
	return m, err
}

// entry is an entry of a manifest.
type entry struct {
	Status   int64
	Sequence *int64 // nil where it is the manifest's
	File     struct {
		Content        int64
		Path, Format   string
		Partition      any
		Rows, Size     int64
		Fields         []int
		Of             *string
		Offset, Length *int64
	}
}

func entryOf(r record) (e entry, err error) {
	file, ok := r["data_file"].(map[string]any)
	if !ok {
		return e, errors.New("the entry names no file")
	}
	f, d := &e.File, record(file)
	err = errors.Join(r.number("status", &e.Status, true), r.optional("sequence_number", &e.Sequence),
		d.number("content", &f.Content, false), d.text("file_path", &f.Path, true), d.text("file_format", &f.Format, true),
		d.number("record_count", &f.Rows, true), d.number("file_size_in_bytes", &f.Size, true),
		d.optional("content_offset", &f.Offset), d.optional("content_size_in_bytes", &f.Length), d.numbers("equality_ids", &f.Fields), d.plain())
	f.Partition = d["partition"]
	var of string
	if err == nil && d["referenced_data_file"] != nil {
		err = d.text("referenced_data_file", &of, true)
		f.Of = &of
	}
	return e, err
}

// plain refuses what is encrypted by keys of the table.
func (r record) plain() error {
	if b, ok := r["key_metadata"].([]byte); r["key_metadata"] != nil && (!ok || len(b) > 0) {
		return errors.New("it is encrypted by a key of the table")
	}
	return nil
}

func (r record) text(name string, into *string, wanted bool) error {
	v, ok := r[name].(string)
	if *into = v; !ok && (wanted || r[name] != nil) {
		return fmt.Errorf("its field %s is a %T", name, r[name])
	}
	if tooLong(v) {
		*into = ""
		return fmt.Errorf("its field %s has %d bytes", name, len(v))
	}
	return nil
}

func (r record) number(name string, into *int64, wanted bool) error {
	n, ok := integer(r[name])
	if *into = n; !ok && (wanted || r[name] != nil) {
		return fmt.Errorf("its field %s is a %T", name, r[name])
	}
	return nil
}

// optional is nil for null, and for a field that is not there.
func (r record) optional(name string, into **int64) error {
	if r[name] == nil {
		return nil
	}
	*into = new(int64)
	return r.number(name, *into, true)
}

func (r record) numbers(name string, into *[]int) error {
	if r[name] == nil {
		return nil
	}
	all, ok := r[name].([]any)
	if !ok {
		return fmt.Errorf("its field %s is a %T", name, r[name])
	}
	if len(all) > maxText {
		return fmt.Errorf("its field %s has %d numbers", name, len(all))
	}
	for _, v := range all {
		n, ok := integer(v)
		if !ok {
			return fmt.Errorf("its field %s holds a %T", name, v)
		}
		*into = append(*into, int(n))
	}
	return nil
}

func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case int:
		return int64(n), true
	}
	return 0, false
}
