//go:build !unix

package wire

import "net"

// alive cannot be asked here: a connection that rested for more than a moment is
// not used again.
func alive(net.Conn) bool { return false }
