package s3store

import (
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// bothListings reads a page by hand and by encoding/xml, as Store.list would.
// The page has been used for other listings before.
func bothListings(used *page, body, root string, q object.ListRequest) (quickly bool, byHand, byXML object.ListReply, errHand, errXML error) {
	op := "ListObjectsV2"
	if root == "ListVersionsResult" {
		op = "ListObjectVersions"
	}
	r := newRequest(op, http.MethodGet, object.Ref{Bucket: q.Bucket})
	r.max = maxListing
	rep := &reply{status: 200, header: http.Header{}, body: []byte(body)}
	var slow listing
	used.reset()
	byHand, quickly, errHand = used.quickReply(r, rep, q, root, nil)
	for i := range rep.body {
		rep.body[i] = '#' // as the next page does
	}
	rep.body = []byte(body)
	if errXML = decode(r, rep, root, &slow); errXML == nil {
		byXML, errXML = slow.reply(r, rep, q)
	}
	return quickly, byHand, byXML, errHand, errXML
}

// sameListings fails unless the two agree wherever the page is read by hand.
func sameListings(t *testing.T, body string) (quickly bool) {
	t.Helper()
	used := new(page)
	used.row.Key, used.row.ChecksumAlgorithm, used.meta.Items = "left", []string{"over"}, []metadataItem{{Value: "x"}}
	for _, root := range []string{"ListBucketResult", "ListVersionsResult"} {
		for _, metadata := range []bool{false, true} {
			q := object.ListRequest{Bucket: "b", Metadata: metadata}
			fast, hand, xml, errHand, errXML := bothListings(used, body, root, q)
			if !fast {
				continue
			}
			quickly = true
			if fmt.Sprint(errHand) != fmt.Sprint(errXML) || !reflect.DeepEqual(hand, xml) {
				t.Errorf("%s of %q\nby hand %+v, %v\nby xml  %+v, %v", root, body, hand, errHand, xml, errXML)
			}
		}
	}
	return quickly
}

const pageHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`

func row1(inner string) string {
	return pageHead + "<Contents>" + inner + "</Contents></ListBucketResult>"
}

var listingPages = []struct {
	body  string
	quick bool
}{
	{pageHead + `<Name>b</Name><Prefix></Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>` +
		`<NextContinuationToken>t/+=</NextContinuationToken><Contents><Key>a%2Fb+c</Key><LastModified>2026-11-23T19:10:05.123Z</LastModified><ETag>&quot;e-2&quot;</ETag>` +
		`<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumAlgorithm>SHA1</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType><Size>5</Size>` +
		`<Owner><ID>o</ID><DisplayName/></Owner><StorageClass>GLACIER</StorageClass><RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus></Contents>` +
		"\n\t" + `<Contents><Key>z</Key><Size>0</Size></Contents><CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>` + "\n", true},
	{`<ListVersionsResult><NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker><IsTruncated>false</IsTruncated>` +
		`<Version><Key>a</Key><VersionId>1</VersionId><IsLatest>true</IsLatest></Version><DeleteMarker><Key>b</Key><VersionId>2</VersionId><IsLatest>false</IsLatest></DeleteMarker>` +
		`<Version><Key>b</Key><VersionId>null</VersionId><IsLatest>false</IsLatest></Version></ListVersionsResult>`, true},
	{row1(`<Key>k</Key><UserTags>a=b&amp;c=d</UserTags><UserMetadata><X-Amz-Meta-A>1</X-Amz-Meta-A><content-type>text/plain</content-type>` +
		`<X-Amz-Server-Side-Encryption>aws:kms</X-Amz-Server-Side-Encryption><X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id>arn:aws:kms:k</X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id><expires/></UserMetadata>`), true},
	{row1(`<Key>k</Key><UserMetadata></UserMetadata>`), true},
	{row1(`<Key>k</Key><ETag>&#34;0f34&#34;</ETag><Size>1</Size><UserMetadata><X-Amz-Server-Side-Encryption>AES256</X-Amz-Server-Side-Encryption>` +
		`<content-type>application/octet-stream</content-type></UserMetadata><Internal><K>1</K><M>0</M></Internal>`), true},
	{row1(`<Key>k</Key><ETag>&#34;&quot;</ETag>`), true},
	{row1(`<Key>k</Key><ETag>&#34;</ETag>`), true},
	{row1(`<Key>k</Key><UserMetadata/>`), true},
	{row1(`<Key>"quoted"</Key><ETag>"e"</ETag>`), true},
	{row1(`<Key>&quot;quoted&quot;</Key><ETag>e</ETag>`), true},
	{row1(`<Key>&lt;&gt;&amp;&apos;&#34;&#39;&#x22;</Key><ETag>&quot;a&amp;b&quot;</ETag>`), true},
	{row1("<Key> a\tb\n</Key>"), true},
	{row1("<Key>ü\U0001F642</Key>"), true},
	{row1("<Key>\ufffd</Key>"), true}, // an error, the same by both
	{pageHead + `<EncodingType>url</EncodingType><Contents><Key>%zz</Key></Contents></ListBucketResult>`, true},
	{pageHead + `<EncodingType/><IsTruncated>false</IsTruncated></ListBucketResult>`, true},
	{pageHead + `</ListBucketResult>`, true},
	// What is left to encoding/xml.
	{row1("<Key>a\rb</Key>"), false},
	{row1("<Key>\x01</Key>"), false},
	{row1("<Key>&#x1;</Key>"), false},
	{row1("<Key>&#233;</Key>"), false},
	{row1("<Key>&nope;</Key>"), false},
	{row1("<Key>\xff</Key>"), false},
	{row1("<Key>\ufffe</Key>"), false},
	{row1("<Key>a]]>b</Key>"), false},
	{row1("<Key><![CDATA[a]]></Key>"), false},
	{row1("<Key>a<!-- c -->b</Key>"), false},
	{row1(`<Key a="b">a</Key>`), false},
	{row1("<Key>a</Key><Size></Size>"), false},
	{row1("<Key>a</Key><Size>x</Size>"), false},
	{row1("<Key>a</Size>"), false},
	{row1("text<Key>a</Key>"), false},
	{row1("<Key>a</Key>") + "<more/>", false},
	{strings.TrimSuffix(row1("<Key>a</Key>"), "</ListBucketResult>"), false},
	{row1("<Key>a</Key>")[:100], false},
	{pageHead + `<IsTruncated>TRUE</IsTruncated></ListBucketResult>`, false},
	{pageHead + `<IsTruncated/></ListBucketResult>`, false},
	{`<?xml version="1.0" encoding="ISO-8859-1"?><ListBucketResult></ListBucketResult>`, false},
	{`<Error><Code>SlowDown</Code></Error>`, false},
	{``, false},
}

func TestQuickListingAgreesWithXML(t *testing.T) {
	for _, p := range listingPages {
		if got := sameListings(t, p.body); got != p.quick {
			t.Errorf("read by hand: %v, want %v: %q", got, p.quick, p.body)
		}
	}
}

func FuzzQuickListing(f *testing.F) {
	for _, p := range listingPages {
		f.Add(p.body)
	}
	f.Fuzz(func(t *testing.T, body string) { sameListings(t, body) })
}

func thousandRows() string {
	var b strings.Builder
	b.WriteString(pageHead + "<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>")
	for i := range 1000 {
		fmt.Fprintf(&b, "<Contents><Key>dir/sub/%09d</Key><LastModified>2026-11-23T19:10:05.000Z</LastModified><ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag>"+
			"<Size>1024</Size><StorageClass>STANDARD</StorageClass></Contents>", i)
	}
	b.WriteString("</ListBucketResult>")
	return b.String()
}

// BenchmarkListing is one page of 1,000 rows, by hand and by encoding/xml.
func BenchmarkListing(b *testing.B) {
	body := thousandRows()
	q := object.ListRequest{Bucket: "b"}
	r := newRequest("ListObjectsV2", http.MethodGet, object.Ref{Bucket: "b"})
	r.max = maxListing
	rep := &reply{status: 200, header: http.Header{}, body: []byte(body)}
	used := new(page)
	var rows []object.Object
	for _, way := range []string{"hand", "xml"} {
		b.Run(way, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if way == "hand" {
					used.reset()
					out, ok, err := used.quickReply(r, rep, q, "ListBucketResult", rows)
					if !ok || err != nil || len(out.Objects) != 1000 {
						b.Fatal("left to encoding/xml, or", err)
					}
					rows = out.Objects
					continue
				}
				var doc listing
				if err := decode(r, rep, "ListBucketResult", &doc); err != nil {
					b.Fatal(err)
				}
				if out, err := doc.reply(r, rep, q); err != nil || len(out.Objects) != 1000 {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestPagesOfGiants: a page that says it has millions of rows costs what it has, and its
// memory is not kept for the next ones.
func TestPagesOfGiants(t *testing.T) {
	clean(t)
	said := pageHead + strings.Repeat("<Contents><Key>k</Key></Contents>", 3) + "</ListBucketResult><!--" + strings.Repeat("<Key>", 200_000) + "-->"
	r := newRequest("ListObjectsV2", http.MethodGet, object.Ref{Bucket: "b"})
	p := new(page)
	rep := &reply{status: 200, header: http.Header{}, body: []byte(said)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, _ = p.quickReply(r, rep, object.ListRequest{Bucket: "b"}, "ListBucketResult", nil)
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 10<<20 {
		t.Errorf("%d bytes for three rows", after.TotalAlloc-before.TotalAlloc)
	}
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answered(200, "") })
	s.TakeBack(make([]object.Object, 0, 100*usualRows))
	if rows, _ := s.rows.Get().(*[]object.Object); rows != nil {
		t.Errorf("room for %d rows is kept", cap(*rows))
	}
}
