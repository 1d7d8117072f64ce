//go:build !unix

package main

import "os"

// quitSignals: there are none here.
var quitSignals = []os.Signal{os.Kill}

func noCore() {}
