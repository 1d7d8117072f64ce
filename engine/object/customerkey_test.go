package object_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestCustomerKeyNeverPrints: nor as an unexported field, of which fmt knows no
// methods, under any verb.
func TestCustomerKeyNeverPrints(t *testing.T) {
	raw := []byte("\x91a customer key of 32 bytes  \xfe\xdc\xba")
	k, err := object.ParseCustomerKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	type within struct{ key object.CustomerKey }
	for _, v := range []any{k, &k, within{k}, &within{k}, []within{{k}}, map[string]within{"k": {k}}, object.Target{CustomerKey: k}} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%t", "%e"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		for _, secret := range []string{string(raw), "customer key of", hex.EncodeToString(raw[:6]), base64.StdEncoding.EncodeToString(raw)[:8],
			strings.Trim(fmt.Sprint(raw[:6]), "[]"), fmt.Sprintf("%q", raw[1:4])} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%T shows %q in\n%s", v, secret, out.String())
			}
		}
	}
}
