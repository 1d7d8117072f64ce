package s3store

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/resealhq/reseal/engine/object"
)

// noCredentials says why there are none, and what to do about that very cause. The
// words of a credential_process are never repeated: they may be the keys.
func noCredentials(err error) *object.Error {
	var known *object.Error
	if errors.As(err, &known) {
		e := *known
		return &e
	}
	e := &object.Error{Class: object.ClassCredentials, Op: "GetCredentials", NotSent: true, Err: err}
	var process *processcreds.ProviderError
	var api smithy.APIError
	var op *smithy.OperationError
	said := ""
	if err != nil {
		said = err.Error()
	}
	switch {
	case errors.As(err, &process):
		e.Err = nil
		e.Message, e.Hint = processFailure(process), "run the command of credential_process in the profile by hand: it has to print the JSON of version 1. "+
			"Where its path has spaces, name a script without any that calls it"
	case errors.As(err, new(*ssocreds.InvalidTokenError)), strings.Contains(said, "SSO token"):
		e.Message, e.Hint = "the SSO session has expired, or was never begun", "log in with aws sso login"+ofProfile()+", and run again"
	case errors.As(err, &op) && errors.As(err, &api):
		e.Code, e.Message = object.Cut(api.ErrorCode(), object.MaxCode), withoutKeys(object.Cut(op.OperationName+" was refused: "+withoutTokens(api.ErrorMessage()), object.MaxMessage))
		e.Err, e.Hint = nil, refusalHint(op.OperationName)
	case strings.Contains(said, "failed to retrieve jwt"):
		e.Message, e.Hint = "the web identity token cannot be read: "+object.Cut(local(err), 300), "AWS_WEB_IDENTITY_TOKEN_FILE, or web_identity_token_file of the profile, has to name a file that is there and can be read"
	case errors.As(err, new(config.AssumeRoleTokenProviderNotSetError)), strings.Contains(said, "MFA"):
		e.Message, e.Hint = mfaMessage, mfaHint
	case err == nil, strings.Contains(said, "IMDS"), strings.Contains(said, "static credentials are empty"):
		e.Message, e.Hint = "no credentials were found", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile, or log in with aws sso login"
	default:
		e.Message, e.Hint = "the credentials could not be fetched: "+withoutTokens(object.Cut(local(err), object.MaxMessage)), "check the profile, or log in anew"
	}
	return e
}

// credentialsWithin is how long a request waits for credentials. It is less than the request
// has, or its own time limit would end the wait, and what is told be that the store hangs.
func credentialsWithin(ctx context.Context) time.Duration {
	end, bounded := ctx.Deadline()
	if !bounded {
		return 2 * time.Minute
	}
	left := time.Until(end)
	return left - left/12
}

// noneCame is the error of a wait that was in vain. The SDK ends a credential_process after a
// minute, but not what that has begun, and waits for it as long as its output is open.
func noneCame(within time.Duration) *object.Error {
	return &object.Error{Class: object.ClassCredentials, Op: "GetCredentials", NotSent: true,
		Message: "no credentials came within " + within.Round(time.Second).String(),
		Hint:    "what the profile gets them from does not answer: run its credential_process by hand, or log in anew"}
}

// sendable is an error where no header can carry the credentials: a line break at their end
// is easily pasted, or read from a file. It shows nothing of them.
func sendable(c aws.Credentials) error {
	for _, part := range [...]struct{ name, value string }{{"access key ID", c.AccessKeyID}, {"secret access key", c.SecretAccessKey}, {"session token", c.SessionToken}} {
		if !printable(part.value) {
			return &object.Error{Class: object.ClassCredentials, Op: "GetCredentials", NotSent: true,
				Message: "the " + part.name + " has a line break, or another character that no request can carry",
				Hint:    "set it again without: see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or what the profile names"}
		}
	}
	return nil
}

// printable says whether a text is of visible ASCII and blanks.
func printable(text string) bool {
	return strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) < 0
}

const (
	mfaMessage = "the profile assumes a role with a code of an MFA device, and nobody is there to give one"
	mfaHint    = "begin a session before: `aws configure export-credentials --profile NAME --format env` asks for the code and prints what to export"
)

// ofProfile names the profile of the environment, for a command to be typed.
func ofProfile() string {
	if profile := os.Getenv("AWS_PROFILE"); profile != "" {
		return " --profile " + profile
	}
	return ""
}

// processFailure is how a credential_process failed.
func processFailure(err error) string {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return "credential_process failed: " + exit.Error()
	case strings.Contains(err.Error(), "timed out"):
		return "credential_process did not answer in time"
	}
	return "credential_process did not print credentials"
}

// refusalHint says what to look at where STS or SSO refused credentials.
func refusalHint(operation string) string {
	switch operation {
	case "AssumeRole":
		return "the trust policy of role_arn has to allow who the profile's source_profile or credential_source is, and that one needs sts:AssumeRole"
	case "AssumeRoleWithWebIdentity":
		return "the trust policy of the role has to allow this token's issuer and subject, and the token must not have expired"
	case "GetRoleCredentials", "CreateToken":
		return "log in with aws sso login" + ofProfile() + "; the account and the role of the profile must be yours"
	}
	return "check the profile, or log in anew"
}

// withoutTokens takes web identity tokens out, which have the form of three words
// of Base64 with dots between them.
func withoutTokens(text string) string {
	words := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" \t\n\"',;()=:", c) })
	for _, word := range words {
		if len(word) > 60 && strings.Count(word, ".") >= 2 && strings.HasPrefix(word, "eyJ") {
			text = strings.ReplaceAll(text, word, object.Withheld)
		}
	}
	return text
}

// configError is why the configuration itself cannot be used.
func configError(err error) error {
	if errors.As(err, new(config.AssumeRoleTokenProviderNotSetError)) {
		return noCredentials(err)
	}
	return nil
}

// requoted gives cfg the credential_process that its profile names, where the SDK
// has taken the first and the last quote away because the line begins with one and
// ends with another one: the AWS CLI runs "/a path/x" "an argument" as it stands.
func requoted(cfg *aws.Config, o Options) {
	if o.Profile == "" && os.Getenv("AWS_ACCESS_KEY_ID") != "" {
		return
	}
	for _, source := range cfg.ConfigSources {
		c, ok := source.(config.SharedConfig)
		if !ok || c.Source != nil || c.Credentials.HasKeys() || c.CredentialSource != "" || c.WebIdentityTokenFile != "" ||
			c.RoleARN != "" || c.SSOAccountID != "" || c.SSOSessionName != "" {
			continue
		}
		if lostQuotes(c.CredentialProcess) {
			cfg.Credentials = aws.NewCredentialsCache(processcreds.NewProvider(`"` + c.CredentialProcess + `"`))
		}
	}
}

// lostQuotes says whether a command would be whole between quotes: its first quote
// ends a word, and its last one begins one; or it is the name of a file, blanks
// and all.
func lostQuotes(command string) bool {
	first, last := strings.IndexByte(command, '"'), strings.LastIndexByte(command, '"')
	if first < 0 {
		info, err := os.Stat(command)
		return strings.ContainsAny(command, " \t") && err == nil && info.Mode().IsRegular()
	}
	blank := func(i int) bool { return command[i] == ' ' || command[i] == '\t' }
	return first > 0 && first < last && last < len(command)-1 && !blank(first-1) && blank(first+1) && blank(last-1) && !blank(last+1)
}
