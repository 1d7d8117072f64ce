package s3store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/resealhq/reseal/engine/object"
)

// maxTable bounds in bytes what a catalog tells of a table: with its history that may be
// many megabytes.
const maxTable = 256 << 20

// LoadTable asks the Iceberg REST catalog of S3 Tables for a table's metadata.json. bucket is
// the ARN of the table bucket, whose region is asked. AWS_ENDPOINT_URL_S3TABLES names another
// catalog; then what it answers at /iceberg/v1 counts, or at /v1.
func (s *Store) LoadTable(ctx context.Context, bucket, namespace, name string) ([]byte, error) {
	part := strings.SplitN(bucket, ":", 6)
	if len(part) != 6 || part[2] != "s3tables" || part[3] == "" {
		return nil, &object.Error{Class: object.ClassInvalid, Op: "LoadTable", NotSent: true, Message: fmt.Sprintf("%q is no ARN of a table bucket", bucket)}
	}
	t := &tableCatalog{store: s, region: part[3], base: os.Getenv("AWS_ENDPOINT_URL_S3TABLES")}
	if t.base == "" {
		t.base = "https://s3tables." + part[3] + "." + domainOf(part[1])
	}
	prefix, err := t.prefix(ctx, bucket)
	if err != nil {
		return nil, err
	}
	var reply struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	err = t.get(ctx, "LoadTable", prefix+"/namespaces/"+url.PathEscape(namespace)+"/tables/"+url.PathEscape(name), "", &reply)
	if object.ClassOf(err) == object.ClassGone {
		return nil, &object.Error{Class: object.ClassGone, Op: "LoadTable", Message: "there is no table " + namespace + "/" + name + " in " + bucket,
			Hint: "S3 Metadata keeps them in the table bucket aws-s3, in the namespace b_BUCKET, as inventory and journal", Err: err}
	}
	if err == nil && len(reply.Metadata) == 0 {
		err = &object.Error{Class: object.ClassTransient, Op: "LoadTable", Message: "the answer of the catalog holds no metadata"}
	}
	return reply.Metadata, err
}

// domainOf is where a partition of AWS has its services.
func domainOf(partition string) string {
	if partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// tableCatalog is an Iceberg REST catalog.
type tableCatalog struct {
	store        *Store
	region, base string
	root         string // where its paths begin, once that is known
}

// prefix finds out where the catalog has the tables of a bucket.
func (t *tableCatalog) prefix(ctx context.Context, bucket string) (string, error) {
	var config struct {
		Defaults, Overrides struct{ Prefix string }
	}
	var err error
	for _, root := range []string{"/iceberg/v1", "/v1"} {
		t.root = root
		if err = t.get(ctx, "GetConfig", "/config", "warehouse="+url.QueryEscape(bucket), &config); object.ClassOf(err) != object.ClassGone {
			break
		}
	}
	switch {
	case err != nil:
		return "", err
	case config.Overrides.Prefix != "":
		return "/" + escapedOnce(config.Overrides.Prefix), nil
	case config.Defaults.Prefix != "":
		return "/" + escapedOnce(config.Defaults.Prefix), nil
	}
	return "/" + url.PathEscape(bucket), nil
}

// escapedOnce is one part of a path, which catalogs tell escaped and not.
func escapedOnce(prefix string) string {
	if plain, err := url.PathUnescape(prefix); err == nil {
		prefix = plain
	}
	return url.PathEscape(prefix)
}

// get asks for a document, signed for S3 Tables.
func (t *tableCatalog) get(ctx context.Context, op, path, query string, into any) error {
	s := t.store
	fail := func(class object.Class, message string) *object.Error {
		return &object.Error{Class: class, Op: op, Message: message}
	}
	target := strings.TrimSuffix(t.base, "/") + t.root + path
	if query != "" {
		target += "?" + query
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fail(object.ClassInvalid, "the catalog "+t.base+" cannot be asked: its address is none")
	}
	r.Header.Set("Accept", "application/json")
	creds, err := s.retrieve(ctx)
	if err != nil {
		return err
	}
	if creds.AccessKeyID != "" {
		none := sha256.Sum256(nil)
		if err := v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(none[:]), "s3tables", t.region, s.Now()); err != nil {
			return fail(object.ClassOther, "the request to the catalog could not be signed")
		}
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return FailedToSend(op, object.Ref{}, ctx, err)
	}
	defer resp.Body.Close()
	limit := int64(maxTable)
	if resp.StatusCode != http.StatusOK {
		limit = maxFailure
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return FailedToSend(op, object.Ref{}, ctx, err)
	case resp.StatusCode != http.StatusOK:
		return s.tableError(op, resp, body)
	case int64(len(body)) > limit:
		return fail(object.ClassOther, fmt.Sprintf("the answer of the catalog has more than %d bytes", limit))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fail(object.ClassTransient, "the answer of the catalog is no JSON")
	}
	return nil
}

// tableError brings an error of the catalog into the one table.
func (s *Store) tableError(op string, resp *http.Response, body []byte) error {
	var said struct {
		Error struct {
			Message string `json:"message"`
			Type    string `json:"type"`
		} `json:"error"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &said) // the status alone is an answer
	e := &object.Error{Class: byStatus(resp.StatusCode), Op: op, Code: object.Cut(said.Error.Type, object.MaxMessage), HTTPStatus: resp.StatusCode,
		RequestID: requestID(resp.Header.Get), Message: object.Cut(firstText(said.Error.Message, said.Message, http.StatusText(resp.StatusCode)), object.MaxMessage)}
	if e.Class == object.ClassDenied {
		e.Hint = "grant s3tables:GetTableBucket on the table bucket, and s3tables:GetTable, s3tables:GetTableMetadataLocation and s3tables:GetTableData on the table"
	}
	s.secrets.CleanError(e, signatureOf(resp))
	return e
}

func firstText(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
