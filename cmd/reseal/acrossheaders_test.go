package main

import (
	"slices"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestHeadersThatAnotherStoreDrops: what the destination's store takes and does not keep is left by
// name, or accepted by it; what has none of that is copied.
func TestHeadersThatAnotherStoreDrops(t *testing.T) {
	t.Parallel()
	drops, dropsExpires := s3test.AWS(), s3test.AWS()
	drops.Name, drops.DropsHeaders = "drops headers", true
	dropsExpires.Name, dropsExpires.DropsExpires = "drops Expires", true
	for _, dest := range []s3test.Profile{drops, dropsExpires} {
		t.Run(dest.Name, func(t *testing.T) {
			t.Parallel()
			s := newTwoStoresTo(t, dest)
			s.from.Put("b", s3test.Object{Key: "plain", Body: s3test.Bytes("plain"), Attrs: s3test.Attrs{ContentType: "text/plain"}})
			if end := s.reseal(t, append(slices.Clone(s.args), "--accept", "expires")...); end.code != exitSome && dest.DropsHeaders || end.code != 0 && dest.DropsExpires {
				t.Fatalf("exit code %d\n%s", end.code, end.stderr)
			}
			rows := s.rows(t, s.job)
			for _, o := range s.before.Objects {
				row, there := rows[o.Key], len(s.to.Snapshot("b").Find("copy/"+o.Key)) > 0
				if left := dest.DropsHeaders; (row["state"] == "left") != left || left && row["reason"] != "metadata" || left == there {
					t.Errorf("%s: %v, there: %v", o.Key, row, there)
				}
			}
			if row := rows["plain"]; row["state"] != "done" {
				t.Errorf("plain: %v", row)
			}
		})
	}
	t.Run("not accepted", func(t *testing.T) {
		t.Parallel()
		s := newTwoStoresTo(t, dropsExpires)
		if end := s.reseal(t, s.args...); end.code != exitSome {
			t.Fatalf("exit code %d\n%s", end.code, end.stderr)
		}
		for _, row := range s.rows(t, s.job) {
			if row["reason"] != "expires" {
				t.Errorf("%v", row)
			}
		}
	})
}

// TestChecksumsToAStoreWithoutAny: a checksum of the source's is lost in a store that keeps none only
// where that is accepted.
func TestChecksumsToAStoreWithoutAny(t *testing.T) {
	t.Parallel()
	none := s3test.AWS()
	none.Name, none.NoChecksums = "no checksums", true
	s := newTwoStoresTo(t, none)
	if end := s.reseal(t, s.args...); end.code != exitSome {
		t.Fatalf("exit code %d\n%s", end.code, end.stderr)
	}
	for key, row := range s.rows(t, s.job) {
		if row["state"] != "left" || row["reason"] != "composite-checksum" {
			t.Errorf("%s: %v", key, row)
		}
	}
	if end := s.reseal(t, "run", "--job", s.job, "--retry-failed", "--accept", "composite-checksum", "--no-progress"); end.code != 0 || len(s.to.Snapshot("b").Objects) != len(s.before.Objects) {
		t.Errorf("accepted: exit code %d\n%s", end.code, end.stderr)
	}
}

// TestChecksumsThatAnotherStoreDoesNotKnow: a store that keeps some checksums passes over those that it
// does not know, as MinIO did with CRC64NVME until 2025. What has such a one is left.
func TestChecksumsThatAnotherStoreDoesNotKnow(t *testing.T) {
	t.Parallel()
	old := s3test.AWS()
	old.Name, old.UnknownSums = "old", []string{"CRC64NVME", "SHA1"}
	s := newTwoStoresTo(t, old)
	body := s3test.Bytes("a body")
	for _, sum := range []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"} {
		s.from.Put("b", s3test.Object{Key: sum, Body: body}, s3test.Summed(body, sum))
	}
	if end := s.reseal(t, s.args...); end.code != exitSome {
		t.Fatalf("exit code %d\n%s", end.code, end.stderr)
	}
	for key, row := range s.rows(t, s.job) {
		want, reason := "done", ""
		if slices.Contains(old.UnknownSums, key) {
			want, reason = "left", "composite-checksum"
		}
		if row["state"] != want || row["reason"] != reason {
			t.Errorf("%s: %v", key, row)
		}
	}
	if end := s.reseal(t, "run", "--job", s.job, "--retry-failed", "--accept", "composite-checksum", "--no-progress"); end.code != 0 {
		t.Errorf("accepted: exit code %d\n%s", end.code, end.stderr)
	}
}
