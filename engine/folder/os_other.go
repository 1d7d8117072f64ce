//go:build !unix

package folder

const neverWaits = 0

const syncsDirs = false

func isQuota(error) bool { return false }

func isForNow(error) bool { return false }
