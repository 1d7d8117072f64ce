// Package look asks the store what is there. It promises: it sends nothing that
// changes anything; what it tells is what the store showed, with the customer key
// that opened the object; and what could not be read stays untold instead of empty.
package look
