package s3store

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// profile writes a config file and takes the keys of the environment away.
func profile(t *testing.T, text string) (dir string) {
	t.Helper()
	clean(t)
	dir = t.TempDir()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte("[profile p]\n"+strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "p", "AWS_CONFIG_FILE": file,
		"HOME": dir, "AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_ROLE_ARN": ""} {
		t.Setenv(name, value)
	}
	return dir
}

func TestW6TheCauseIsNamed(t *testing.T) {
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole with %s</Message></Error></ErrorResponse>",
			r.Form.Get("WebIdentityToken"))
	}))
	defer sts.Close()
	jwt := "eyJhbGciOiJSUzI1NiJ9." + strings.Repeat("eyJzdWIiOiJ4In0", 6) + ".c2lnbmF0dXJl"
	for name, tc := range map[string]struct {
		config  string
		message string
		hint    string
	}{
		"expired SSO": {"sso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n",
			"SSO session", "aws sso login --profile p"},
		"refused role": {"role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = q\n[profile q]\naws_access_key_id = AKID\naws_secret_access_key = S\n",
			"AccessDenied: AssumeRole was refused", "trust policy of role_arn"},
		"refused web identity": {"role_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = DIR/token\n", "AssumeRoleWithWebIdentity was refused", "trust policy"},
		"no token file":        {"role_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = DIR/nothing\n", "web identity token cannot be read", "AWS_WEB_IDENTITY_TOKEN_FILE"},
		"failing process":      {"credential_process = sh -c 'echo '{}'; exit 7'\n", "credential_process failed: exit status 7", "by hand"},
		"odd process":          {"credential_process = echo wJalrXUtnFEMI\n", "did not print credentials", "version 1"},
		"nothing":              {"region = us-east-1\n", "no credentials were found", "AWS_ACCESS_KEY_ID"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := profile(t, tc.config)
			t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
			if err := os.WriteFile(filepath.Join(dir, "token"), []byte(jwt), 0o600); err != nil {
				t.Fatal(err)
			}
			s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answered(200, "") })
			_, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{})
			text := errorText(err)
			if object.ClassOf(err) != object.ClassCredentials || !strings.Contains(text, tc.message) || !strings.Contains(text, tc.hint) {
				t.Errorf("%s", text)
			}
			if strings.Contains(text, "c2lnbmF0dXJl") || strings.Contains(text, "wJalrXUtnFEMI") {
				t.Errorf("shows a token or a key: %s", text)
			}
		})
	}
	profile(t, "role_arn = arn:aws:iam::123456789012:role/r\nmfa_serial = arn:aws:iam::123456789012:mfa/m\nsource_profile = q\n[profile q]\naws_access_key_id = AKID\naws_secret_access_key = S\n")
	if _, err := Open(t.Context(), Options{}); object.ClassOf(err) != object.ClassCredentials || !strings.Contains(err.Error(), "MFA") || !strings.Contains(err.Error(), "export-credentials") {
		t.Errorf("MFA: %v", err)
	}
}

func TestW7QuotedCredentialProcess(t *testing.T) {
	const script = "#!/bin/sh\n[ $# = 0 ] || [ \"$1|$2\" = 'Vault|AWS Access Key' ] || exit 9\n" +
		`echo '{"Version":1,"AccessKeyId":"AKPROCESS","SecretAccessKey":"s"}'` + "\n"
	for _, line := range []string{`"DIR/with space/x" "Vault" "AWS Access Key"`, `"DIR/with space/x"`, `"DIR/with space/x" Vault "AWS Access Key"`,
		`DIR/plain "Vault" "AWS Access Key"`, `"DIR/with space/x" Vault 'AWS Access Key'`} {
		dir := profile(t, "credential_process = "+line+"\n")
		if err := os.Mkdir(filepath.Join(dir, "with space"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"with space/x", "plain"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(t.Context(), Options{EndpointURL: "http://127.0.0.1:9"})
		if err != nil {
			t.Fatal(err)
		}
		if id, _, _, _, err := s.Credentials(t.Context()); err != nil || id != "AKPROCESS" {
			t.Errorf("%s: %q, %v", line, id, err)
		}
	}
	for command, want := range map[string]bool{"": false, "x": false, `/bin/x "a b"`: false, `"/a b" c`: false, `a" "b`: true, `a" b "c`: true, `a"b"c`: false, "/nonexistent file": false} {
		if lostQuotes(command) != want {
			t.Errorf("%q: %v", command, !want)
		}
	}
}

// TestWhatNoHeaderCarries: a line break in a key or a region is named before anything is
// sent, and nothing is tried again.
func TestWhatNoHeaderCarries(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answered(200, "") })
			t.Setenv(name, "WORD\n")
			s.Invalidate()
			_, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{})
			if object.ClassOf(err) != object.ClassCredentials || !strings.Contains(errorText(err), "line break") || strings.Contains(errorText(err), "WORD") || len(p.seen) > 0 {
				t.Errorf("%d requests, %s", len(p.seen), errorText(err))
			}
		})
	}
	clean(t)
	for region, fine := range map[string]bool{"eu\nwest-1": false, "eu/west": false, "zürich": false, "us east 1": true, "garage": true, "": true} {
		if _, err := Open(t.Context(), Options{Region: region}); (err == nil) != fine {
			t.Errorf("region %q: %v", region, err)
		}
	}
}
