package object

import "testing"

func TestUnderOtherKey(t *testing.T) {
	ours := Target{SSE: SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/ours", BucketKey: On}
	for name, c := range map[string]struct {
		target Target
		e      Encryption
		want   bool
	}{
		"another key":                 {ours, Encryption{Type: SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/theirs"}, true},
		"another key, double":         {ours, Encryption{Type: DSSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/theirs"}, true},
		"not told":                    {ours, Encryption{Type: SSEKMS}, true},
		"ours without its bucket key": {ours, Encryption{Type: SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/ours"}, false},
		"no KMS key":                  {ours, Encryption{Type: SSES3}, false},
		"to no KMS key":               {Target{SSE: SSES3}, Encryption{Type: SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/theirs"}, false},
	} {
		if got := c.target.UnderOtherKey(c.e); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
