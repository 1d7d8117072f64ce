package checkpoint

import "github.com/resealhq/reseal/engine/object"

func (e *encoder) upload(u *object.Upload) {
	e.byte(valueVersion)
	e.word(u.Target.Bucket)
	e.str(u.Target.Key)
	e.token(u.Target.VersionID)
	e.str(u.ID)
	e.token(u.ETag)
	e.int(u.Size)
	e.int(0) // the first format kept a part size here, beside the sizes
	e.uint(uint64(len(u.PartSizes)))
	for _, n := range u.PartSizes {
		e.int(n)
	}
	e.reapply(&u.Reapply)
	e.byte(byte(flag(1, !u.Begun.IsZero()) | flag(2, u.Sent) | flag(4, u.CreateLost)))
	if !u.Begun.IsZero() {
		e.time(u.Begun)
	}
	e.bytes(u.Carries)
	e.uint(uint64(len(u.Reapply.Annotations)))
	for i := range u.Reapply.Annotations {
		a := &u.Reapply.Annotations[i]
		e.str(a.Name)
		e.token(a.ETag)
		e.bytes(a.Text)
	}
	e.token(u.Made)
}

func (e *encoder) reapply(r *object.Reapply) {
	e.uint(uint64(len(r.Tags)))
	for _, t := range r.Tags {
		e.str(t.Key)
		e.str(t.Value)
	}
	e.uint(0) // grants of the first format, which were never written again
	e.byte(byte(flag(1, r.LegalHold) | flag(2, !r.RetainUntil.IsZero())))
	e.str(r.LockMode)
	if !r.RetainUntil.IsZero() {
		e.time(r.RetainUntil)
	}
}

func decodeUpload(d *dict, seq uint64, b []byte) (object.Upload, error) {
	r := decoder{b: b, d: d}
	r.version()
	u := object.Upload{Seq: seq}
	u.Target.Bucket = r.word()
	u.Target.Key = r.str()
	u.Target.VersionID = r.token()
	u.ID = r.str()
	u.ETag = r.token()
	u.Size = r.int()
	r.int() // the part size of the first format, which nobody read
	for range r.count() {
		u.PartSizes = append(u.PartSizes, r.int())
	}
	u.Reapply = r.reapply()
	flags := r.byte()
	if flags&1 != 0 {
		u.Begun = r.time()
	}
	u.Sent, u.CreateLost = flags&2 != 0, flags&4 != 0
	if len(r.b) > 0 { // the first format ended here
		u.Carries = r.bytes()
	}
	if len(r.b) > 0 { // the second had no annotations
		for range r.count() {
			a := object.Annotation{Name: r.str(), ETag: r.token(), Text: r.bytes()}
			a.Size = int64(len(a.Text))
			u.Reapply.Annotations = append(u.Reapply.Annotations, a)
		}
	}
	if len(r.b) > 0 { // nor the third what was made
		u.Made = r.token()
	}
	return u, r.err
}

func (d *decoder) reapply() (a object.Reapply) {
	for range d.count() {
		a.Tags = append(a.Tags, object.Tag{Key: d.str(), Value: d.str()})
	}
	for range d.count() { // grants, four strings each
		d.str()
		d.str()
		d.str()
		d.str()
	}
	flags := d.byte()
	a.LegalHold = flags&1 != 0
	a.LockMode = d.str()
	if flags&2 != 0 {
		a.RetainUntil = d.time()
	}
	return a
}

// count reads how many elements follow. Each takes a byte at least, so that a
// damaged count cannot make the reader allocate without bound.
func (d *decoder) count() uint64 {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail("a list is cut off")
		return 0
	}
	return n
}

func (e *encoder) part(p *object.Part) {
	e.byte(valueVersion)
	e.token(p.ETag)
	e.int(p.Size)
	e.str(p.Checksum)
}

func decodePart(number int, b []byte) (object.Part, error) {
	r := decoder{b: b}
	r.version()
	p := object.Part{Number: number, ETag: r.token(), Size: r.int(), Checksum: r.str()}
	return p, r.err
}
