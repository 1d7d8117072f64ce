package main

import (
	"bytes"
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

const (
	nullPrefix = "o/"
	// nullFolders are those of a bucket whose objects lie in several, such as o/07/;
	// nullFolder is how long the name of one is.
	nullFolders = 16
	nullFolder  = len("07/")
)

func nullKey(i int) string { return fmt.Sprintf("%s%09d", nullPrefix, i) }

// nullNames are the keys of a bucket, in order; wide says that there are as many in
// each of the folders.
type nullNames struct {
	count int
	wide  bool
}

// namesOf reads them off the bucket's name.
func namesOf(bucket string) nullNames {
	count, _ := strconv.Atoi(bucket[1:])
	return nullNames{count, bucket[0] == 'p'}
}

func (n nullNames) key(i int) string {
	if !n.wide {
		return nullKey(i)
	}
	return fmt.Sprintf("%s%02d/%09d", nullPrefix, i*nullFolders/n.count, i)
}

// index is the first object whose key is greater than after.
func (n nullNames) index(after string) int {
	return sort.Search(n.count, func(i int) bool { return n.key(i) > after })
}

// folders are those right below the prefix, where there are no objects right below it.
func (n nullNames) folders(prefix string) (all []string, are bool) {
	switch {
	case prefix != nullPrefix && strings.HasPrefix(nullPrefix, prefix):
		return []string{nullPrefix}, true
	case prefix == nullPrefix && n.wide:
		for f := range nullFolders {
			all = append(all, fmt.Sprintf("%s%02d/", nullPrefix, f))
		}
		return all, true
	}
	return nil, false
}

// isNullObject knows /nN/o/012345678 and /nN/o/12/012345678, with no query but the SDKs' own label.
func isNullObject(target []byte) bool {
	target, _, _ = bytes.Cut(target, []byte("?x-id="))
	i := bytes.Index(target, []byte("/"+nullPrefix))
	if i <= 0 {
		return false
	}
	name := target[i+1+len(nullPrefix):]
	if len(name) == nullFolder+9 && name[nullFolder-1] == '/' {
		name = name[nullFolder:]
	}
	return len(name) == 9 && name[0] >= '0' && name[0] <= '9'
}

func isNullBucket(name string) bool {
	if name == "" || strings.IndexByte("nwlp", name[0]) < 0 {
		return false
	}
	_, err := strconv.ParseUint(name[1:], 10, 40)
	return err == nil
}

func (s *nullServer) get(target string) []byte {
	path, rawQuery, _ := strings.Cut(target, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path == "/-stats":
		return s.stats()
	case path == "/-far":
		return s.setFar(query.Get("set"))
	case path == "/-mark":
		s.counts.first.Store(0)
		s.counts.marked.Store(true)
		return s.stats()
	case key != "" || !isNullBucket(bucket) || !isListing(query):
		return nil
	}
	s.counts.List.Add(1)
	return nullPage(bucket, namesOf(bucket), query)
}

// isListing tells a listing from the questions about a bucket's settings.
func isListing(query url.Values) bool {
	for name := range query {
		switch name {
		case "list-type", "prefix", "delimiter", "max-keys", "start-after", "continuation-token", "marker", "encoding-type",
			"fetch-owner", "metadata", "allow-unordered":
		default:
			return false
		}
	}
	return !strings.Contains(query.Get("prefix"), ".reseal") // a canary's
}

// nullPage is one page of a listing, of either version.
func nullPage(bucket string, names nullNames, query url.Values) []byte {
	count := names.count
	prefix, v2 := query.Get("prefix"), query.Get("list-type") == "2"
	most, err := strconv.Atoi(query.Get("max-keys"))
	if err != nil || most > 1000 {
		most = 1000
	}
	after := max(query.Get("start-after"), query.Get("marker"), query.Get("continuation-token"))
	b := make([]byte, 0, 200*most+500)
	b = append(b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>`...)
	b = append(b, bucket...)
	b = append(b, "</Name><Prefix>"...)
	b = append(b, prefix...)
	b = append(b, "</Prefix><MaxKeys>"...)
	b = strconv.AppendInt(b, int64(most), 10)
	b = append(b, "</MaxKeys>"...)
	if query.Get("encoding-type") == "url" {
		b = append(b, "<EncodingType>url</EncodingType>"...)
	}
	i, n := names.index(after), 0
	if prefix > after && prefix != "" {
		i = max(i, names.index(prefix[:len(prefix)-1]+string(prefix[len(prefix)-1]-1)+"\xff"))
	}
	if query.Get("delimiter") == "/" {
		if folders, are := names.folders(prefix); are {
			for _, folder := range folders {
				if i < count && after < folder {
					b = append(b, "<CommonPrefixes><Prefix>"+folder+"</Prefix></CommonPrefixes>"...)
					n++
				}
			}
			i = count
		}
	}
	last := ""
	for ; i < count && n < most; i, n = i+1, n+1 {
		key := names.key(i)
		if !strings.HasPrefix(key, prefix) {
			i = count
			break
		}
		last = key
		b = append(b, "<Contents><Key>"...)
		b = append(b, key...)
		b = append(b, "</Key><LastModified>2026-11-23T19:10:05.000Z</LastModified><ETag>&quot;"+nullETag+
			"&quot;</ETag><Size>1024</Size><StorageClass>STANDARD</StorageClass></Contents>"...)
	}
	more := i < count && strings.HasPrefix(names.key(i), prefix)
	if v2 {
		b = append(b, "<KeyCount>"...)
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, "</KeyCount>"...)
		if more {
			b = append(b, "<NextContinuationToken>"+last+"</NextContinuationToken>"...)
		}
	} else if more {
		b = append(b, "<NextMarker>"+last+"</NextMarker>"...)
	}
	b = append(b, "<IsTruncated>"...)
	b = strconv.AppendBool(b, more)
	b = append(b, "</IsTruncated></ListBucketResult>"...)
	return nullReply("200 OK", "", string(b))
}
