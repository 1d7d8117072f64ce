package s3store

import (
	"fmt"
	"net/url"
	"os"
	"strings"
)

// readableProxies is an error where the environment names a proxy that net/http cannot read
// and would ignore in silence: requests would go past a proxy that somebody prescribes. It
// shows nothing of the value, which may hold a password.
func readableProxies() error {
	for _, names := range [...][2]string{{"HTTPS_PROXY", "https_proxy"}, {"HTTP_PROXY", "http_proxy"}} {
		for _, name := range names { // net/http takes the first that is set
			value := os.Getenv(name)
			if value == "" {
				continue
			}
			if !readableProxy(value) {
				return fmt.Errorf("the proxy that %s names cannot be read; write it as http://[USER:PASSWORD@]HOST:PORT, "+
					"where %%, @, :, / and # of a password are written as %%25, %%40, %%3A, %%2F and %%23", name)
			}
			break
		}
	}
	return nil
}

func readableProxy(value string) bool {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" {
		return false
	}
	switch u.Scheme {
	case "http", "https":
		return true
	case "socks5", "socks5h": // whose user and password have a byte each for their lengths
		password, _ := u.User.Password()
		return max(len(u.User.Username()), len(password)) <= 255
	}
	return false
}
