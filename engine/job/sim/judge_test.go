package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// untouched wants a refused bucket to be as it was, but for what other clients did.
func (n *night) untouched(cause error) {
	if len(n.mu.touched) > 0 {
		return
	}
	got := check.Bucket(n.server, n.before, check.Expectation{Target: n.wanted(), Intent: func(s3test.Object) check.Intent { return check.Keep }})
	for _, d := range got.Differences {
		if d.Field == "upload" && n.mu.theirs[uploadOf(d)] != "" || n.stays(d) {
			continue
		}
		n.Errorf("refused with %v, and yet %v", cause, d)
	}
}

// stays says whether what appeared are throwaway objects whose locks look longer than
// a canary's, since the store's clock went back. The log names each.
func (n *night) stays(d check.Difference) bool {
	if d.Field != "key" || !object.IsThrowaway(d.Key) || !n.plan.skewed() {
		return false
	}
	for _, o := range n.server.Snapshot(bucketName).Objects {
		if o.Key == d.Key && (o.LockMode == "" || !n.said.contains(o.VersionID)) {
			return false
		}
	}
	return true
}

// wanted is the target as the store keeps it.
func (n *night) wanted() object.Target {
	t := object.Target{SSE: n.plan.target.SSE, StampMtime: n.plan.target.StampMtime}
	if t.SSE.KMS() {
		t.KMSKeyID = n.plan.shown(newKey)
	}
	return t
}

// judge asks everything that must be true after a night.
func (n *night) judge(sum *report.Summary, out *tally) {
	rows := n.rows()
	n.counters(sum, rows, out)
	n.bucket(rows)
	n.foreigners(rows)
	n.lowerOnes()
	n.theirUploads()
	n.again(sum)
}

type at struct{ key, version string }

// rows reads the report.
func (n *night) rows() map[at]report.Row {
	j, err := job.OpenContext(job.On(context.Background(), n.ground()), n.dir, n.plan.spec().Connection)
	if err != nil {
		n.Fatal(err)
	}
	defer j.Close()
	var text bytes.Buffer
	if err := j.Report(context.Background(), &text, job.ReportOptions{Format: "json"}); err != nil {
		n.Fatal(err)
	}
	rows := map[at]report.Row{}
	var list []report.Row
	if err := json.Unmarshal(text.Bytes(), &list); err != nil {
		n.Fatal(err)
	}
	for _, r := range list {
		id := at{r.Key, r.VersionID}
		if _, twice := rows[id]; twice {
			n.Errorf("two rows for %q version %q", r.Key, r.VersionID)
		}
		rows[id] = r
	}
	return rows
}

// counters wants the summary to be the sum of the rows.
func (n *night) counters(sum *report.Summary, rows map[at]report.Row, out *tally) {
	states := map[string]int{}
	for _, r := range rows {
		states[r.State]++
		out.rows[r.State]++
	}
	want := map[string]int{}
	for state, count := range map[string]uint64{"done": sum.Done, "already": sum.Already, "left": sum.Left, "failed": sum.Failed, "remaining": sum.Remaining} {
		if count > 0 {
			want[state] = int(count)
		}
	}
	if !reflect.DeepEqual(states, want) || int(sum.Planned) != len(rows) || !sum.Complete {
		n.Errorf("the summary counts %v of %d, complete %t; the report has %v in %d rows", want, sum.Planned, sum.Complete, states, len(rows))
	}
}

// rowOf is the row that speaks of a version.
func rowOf(rows map[at]report.Row, o s3test.Object) (report.Row, bool) {
	r, ok := rows[at{o.Key, o.VersionID}]
	if !ok && o.Latest {
		r, ok = rows[at{o.Key, ""}]
	}
	return r, ok
}

// bucket compares what no other client has touched with the rows.
func (n *night) bucket(rows map[at]report.Row) {
	want := check.Expectation{Target: n.wanted(), NoChecksums: n.plan.profile.CopyDropsChecksum, Extra: (n.crashes+n.learnt())*n.plan.workers + inVain(rows)}
	for _, a := range n.plan.policy.Accept {
		want.Accept = append(want.Accept, object.Reason(a))
	}
	want.Intent = func(o s3test.Object) check.Intent {
		if n.mu.touched[o.Key] != nil {
			return check.Ignore
		}
		r, ok := rowOf(rows, o)
		switch {
		case !ok && o.Latest && !o.DeleteMarker:
			n.Errorf("%q has no row", o.Key)
		case ok && r.State == "done":
			return check.Change
		case ok && (r.State == "failed" || n.mayBeOurs(r)):
			return check.MayChange
		}
		return check.Keep
	}
	got := check.Bucket(n.server, n.before, want)
	for _, d := range got.Differences {
		if d.Field == "key" && n.mu.touched[d.Key] != nil || n.stays(d) {
			continue
		}
		if d.Field == "LastModified" && n.plan.skewed() {
			continue // by the store's own clock, which went back
		}
		if d.Field == "upload" && (n.mu.theirs[uploadOf(d)] != "" || n.said.contains(uploadOf(d))) {
			continue // the answer to its creation was lost: nobody can tell it from another client's
		}
		if n.crashes > 0 && n.plan.profile.CopyKeepsKMSKey && anyCopyMakes(d) {
			continue // a copy that changed nothing, by a process that died
		}
		if d.Field == "Redirect" && n.neverLooked(d.Key) {
			continue
		}
		r := n.answersFor(rows, at{d.Key, d.VersionID})
		if (r.State == "failed" || copiedInVain(r)) && d.Field == "encryption" {
			continue // a copy that does not encrypt is told as a failure
		}
		if copiedInVain(r) && d.Field == "version" && d.Before == "none" && n.plan.profile.CopyKeepsKMSKey {
			continue // a copy that changed nothing, and which the row tells of
		}
		n.Errorf("%v; its row says %s %s %s %q", d, r.State, r.Operation, r.Reason, r.Message)
	}
	n.alreadyMeets(rows)
}

// mayBeOurs says whether the row leaves open who brought the object under what it is
// under. It may do so only where a process died, or was stopped before the proof, and nothing
// that the store shows tells: the ETag is the old one, and so is the second of the last change.
func (n *night) mayBeOurs(r report.Row) bool {
	if r.State != "already" || r.Reason != object.ReasonInDoubt || n.crashes+len(n.stops) == 0 {
		return false
	}
	now, there := n.server.Get(bucketName, r.Key, r.VersionID)
	for _, was := range n.before.Find(r.Key) {
		if was.Latest {
			return there && was.ETag == now.ETag && was.LastModified.Unix() == now.LastModified.Unix()
		}
	}
	return false
}

// neverLooked says whether the job has copied a key by what a listing told. It may do
// so in a bucket that is no website, and then a redirect, which nobody is sent along
// there, goes with the copy. A redirect that the job has seen must be there again.
func (n *night) neverLooked(key string) bool {
	if n.plan.bucket.Documents["website"] != "" || n.plan.looksAlways() {
		return false
	}
	for _, r := range n.server.Requests("HeadObject", "CopyObject") {
		if r.Key == key {
			return r.Op == "CopyObject" // the first of them
		}
	}
	return false
}

// learnt is how many processes have found out by copies in vain what the canary did not
// see: each of their workers may have sent one.
func (n *night) learnt() int {
	if !n.plan.profile.CopyKeepsKMSKey {
		return 0
	}
	return n.said.count("copies keep the KMS key")
}

// anyCopyMakes says whether a difference is there after a copy that changes nothing. The
// version that it leaves has to be told of.
func anyCopyMakes(d check.Difference) bool {
	return d.Field == "LastModified" || d.Field == "ETag" || d.Field == "Checksum"
}

// inVain counts the rows that tell of a copy that changed nothing.
func inVain(rows map[at]report.Row) (n int) {
	for _, r := range rows {
		if copiedInVain(r) {
			n++
		}
	}
	return n
}

func copiedInVain(r report.Row) bool {
	return strings.Contains(r.Message, "one more old version of it")
}

// answersFor is the row that speaks of a version; of one that came into being, the
// row of the version that was copied.
func (n *night) answersFor(rows map[at]report.Row, id at) report.Row {
	if r, ok := rows[id]; ok {
		return r
	}
	if r, ok := rows[at{id.key, ""}]; ok {
		return r
	}
	for _, o := range n.before.Find(id.key) {
		if r, ok := rows[at{o.Key, o.VersionID}]; ok && o.Latest {
			return r
		}
	}
	return report.Row{}
}

// uploadOf is the ID of the upload that a difference is about.
func uploadOf(d check.Difference) string { return d.After[strings.LastIndex(d.After, " ")+1:] }

// theirUploads wants the uploads of other clients to be open still, and none to be taken
// for the job's that has a part.
func (n *night) theirUploads() {
	open := map[string]bool{}
	for _, u := range n.server.Snapshot(bucketName).Uploads {
		open[u.ID] = true
	}
	for id, key := range n.mu.theirs {
		if !open[id] {
			n.Errorf("the upload %s of %q is another client's, and was aborted", id, key)
		}
	}
	for _, id := range n.mu.withPart {
		if n.said.contains(id) {
			n.Errorf("the upload %s of %q is another client's and has a part, and the log calls it the job's", id, n.mu.theirs[id])
		}
	}
}

// alreadyMeets wants what is called already to have been so.
func (n *night) alreadyMeets(rows map[at]report.Row) {
	target := n.wanted()
	for _, o := range n.before.Objects {
		if r, ok := rowOf(rows, o); ok && r.State == "already" && !n.mayBeOurs(r) && n.mu.touched[o.Key] == nil && !target.MetBy(o.Encryption) {
			n.Errorf("%q is called already, and was under %v", o.Key, o.Encryption)
		}
	}
}

// foreigners wants what other clients did to have lasted.
func (n *night) foreigners(rows map[at]report.Row) {
	for key, f := range n.mu.touched {
		now, there := n.server.Get(bucketName, key, "")
		there = there && !now.DeleteMarker
		row := n.answersFor(rows, at{key, ""})
		switch {
		case f.tells(row):
		case f.deleted && there:
			n.Errorf("%q was deleted by another client, and is there again; row %s %q", key, row.State, row.Message)
		case f.deleted:
		case !there && f.written != nil:
			n.Errorf("%q was written by another client, and is gone; row %s %q", key, row.State, row.Message)
		case f.written != nil && (!now.Body.Equal(f.written.Body) || !n.sameMetadata(now.Metadata, f.written.Metadata)):
			n.Errorf("%q was written by another client with %v, and is another now with %v (bodies equal: %t); row %s %q", key, f.written.Metadata, now.Metadata,
				now.Body.Equal(f.written.Body), row.State, row.Message)
		case there && f.tags != nil && !reflect.DeepEqual(now.Tags, f.tags):
			n.Errorf("%q was given the tags %v by another client, and has %v; row %s %q", key, f.tags, now.Tags, row.State, row.Message)
		case there && f.held && !now.LegalHold:
			n.Errorf("%q was held by another client, and is free; row %s %q", key, row.State, row.Message)
		}
	}
	if n.plan.bucket.Versioning != "Enabled" {
		return
	}
	for _, o := range n.before.Objects {
		now, there := n.server.Get(bucketName, o.Key, o.VersionID)
		if n.mu.touched[o.Key] != nil && (!there || !o.DeleteMarker && !now.Body.Equal(o.Body)) {
			n.Errorf("%q version %s is lost", o.Key, o.VersionID)
		}
	}
}

// sameMetadata compares what another client has written with what is there: the job
// may have taken it for its own task, and stamped it.
func (n *night) sameMetadata(now, written map[string]string) bool {
	if n.plan.target.StampMtime && written["mtime"] == "" {
		now = maps.Clone(now)
		delete(now, "mtime")
	}
	return maps.Equal(now, written)
}

// again wants a job that has ended to do nothing more.
func (n *night) again(sum *report.Summary) {
	n.server.ResetRequests()
	after, err := n.live(life{})
	if err != nil {
		n.Errorf("the job had ended, and run again says %v", err)
		return
	}
	if after.Done != sum.Done || after.Planned != sum.Planned || after.Failed != sum.Failed {
		n.Errorf("run again, the job counts %d done and %d failed of %d, and did %d, %d of %d", after.Done, after.Failed, after.Planned, sum.Done, sum.Failed, sum.Planned)
	}
	for _, r := range n.server.Requests("CopyObject", "UpdateObjectEncryption", "CreateMultipartUpload", "CompleteMultipartUpload", "PutObject") {
		if n.before.Find(r.Key) != nil {
			n.Errorf("the job had ended, and sends %s for %q", r.Op, r.Key)
		}
	}
}

// ground is the disk as the last process left it, and the network for what lies in a
// bucket.
func (n *night) ground() job.Ground {
	g := job.Ground{Dial: (&lines{x: n.exchange}).dial, Random: n}
	if !n.plan.away {
		g.Disk = checkpoint.NewDisk(n.mem)
	}
	return g
}
