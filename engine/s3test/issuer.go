package s3test

import (
	"encoding/json"
	"net/http"
	"time"
)

// credentialsPath is where the server gives out credentials, in the form of the
// container credentials endpoint.
const credentialsPath = "/.s3test/credentials"

// issued are the credentials that CredentialsURL gives out.
type issued struct {
	Credentials
	expires time.Time
}

// Issue accepts the credentials and gives them out at CredentialsURL as good
// until expires.
func (s *Server) Issue(c Credentials, expires time.Time) {
	s.AddCredentials(c)
	s.issued.Store(&issued{c, expires})
}

// CredentialsURL is what AWS_CONTAINER_CREDENTIALS_FULL_URI has to be for SDKs to
// take the credentials that were Issued, and to come back for new ones.
func (s *Server) CredentialsURL() string { return s.URL() + credentialsPath }

func (s *Server) giveCredentials(w http.ResponseWriter) {
	i := s.issued.Load()
	if i == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"AccessKeyId": i.AccessKeyID, "SecretAccessKey": i.SecretAccessKey, "Token": i.SessionToken,
		"Expiration": i.expires.UTC().Format(time.RFC3339)}) // whoever went away asks again
}
