package s3store

import (
	"strings"
	"testing"
)

// TestAProxyThatCannotBeRead: net/http ignores such a one, and would go past it.
func TestAProxyThatCannotBeRead(t *testing.T) {
	for value, readable := range map[string]bool{
		"": true, "http://proxy:3128": true, "https://proxy": true, "proxy:3128": true, "proxy": true, "socks5://proxy:1080": true,
		"http://us%40er:pass%2Fword@proxy:3128": true, "[::1]:3128": true,
		"http://user:hunter%2@proxy:3128": false, "http://user:hunter2/@proxy:3128": false, "user:hunter%2@proxy": false,
		"http://proxy:31x28": false, "http://": false, "http://:3128": false, "ftp://hunter2": false, "http://[::1": false, "http:// proxy": false,
		"socks5://u:" + strings.Repeat("p", 255) + "@proxy": true, "socks5h://u:" + strings.Repeat("hunter", 43) + "@proxy": false,
	} {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
			t.Run(name+"="+value, func(t *testing.T) {
				clean(t)
				for _, other := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
					t.Setenv(other, "")
				}
				t.Setenv(name, value)
				_, err := Open(t.Context(), Options{})
				if (err == nil) != readable || err != nil && (!strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter")) {
					t.Errorf("%v", err)
				}
			})
		}
	}
	clean(t)
	t.Setenv("HTTPS_PROXY", "http://proxy:3128")
	t.Setenv("https_proxy", "http://[")
	if _, err := Open(t.Context(), Options{}); err != nil {
		t.Errorf("one that is not asked for: %v", err)
	}
}
