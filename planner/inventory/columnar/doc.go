// Package columnar opens Parquet and ORC files that anybody may have written. The libraries
// that read them believe what a file claims: they make room for as many values, bytes and
// columns as it names, and unpack whatever is packed. So everything that will be read is
// walked through first, and a file that claims what it does not hold, or unpacks to more
// than honest writers write, is refused before a library sees it.
package columnar
