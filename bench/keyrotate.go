package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// keyRotate is MinIO's own batch job, which works inside the server: mc starts
// it, and the server's account of the job tells when it is done. It loses every
// tag, so it is no way to do the work; it is the server's own speed.
func keyRotate() *participant {
	p := mc()
	p.name = "MinIO batch keyrotate"
	find := p.find
	return &participant{name: p.name, share: 1, find: find, own: func(ctx context.Context, path string, t *task) (Cost, error) {
		job := filepath.Join(t.dir, "rotate.yaml")
		yaml := fmt.Sprintf("keyrotate:\n  apiVersion: v1\n  bucket: %s\n  prefix: %q\n  encryption:\n    type: sse-kms\n    key: %s\n", t.bucket, t.prefix, t.kmsKey)
		if err := os.WriteFile(job, []byte(yaml), 0o600); err != nil {
			return Cost{}, err
		}
		cmd := exec.CommandContext(ctx, path, "--config-dir", filepath.Join(t.dir, "mc"), "--json", "batch", "start", "b", job)
		cmd.Env = append(t.env(), p.env(t)...)
		began := time.Now()
		out, err := cmd.Output()
		if err != nil {
			return Cost{}, fmt.Errorf("mc batch start: %w\n%s", err, lastLines(string(out)))
		}
		var started struct {
			Result struct {
				ID string `json:"id"`
			} `json:"result"`
		}
		if err := json.Unmarshal(out, &started); err != nil || started.Result.ID == "" {
			return Cost{}, fmt.Errorf("mc batch start said %s (%v)", out, err)
		}
		if err := t.waitForJob(ctx, started.Result.ID); err != nil {
			return Cost{}, err
		}
		return Cost{Seconds: time.Since(began).Seconds()}, nil
	}}
}

// waitForJob asks the server's admin API until the job is done.
func (t *task) waitForJob(ctx context.Context, id string) error {
	client := &http.Client{}
	if t.caFile != "" {
		config, err := trust(t.caFile)
		if err != nil {
			return err
		}
		client.Transport = &http.Transport{TLSClientConfig: config, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		var status struct {
			LastMetric struct {
				Complete, Failed bool
				KeyRotate        struct {
					Objects, ObjectsFailed int64
				}
			}
		}
		err := t.admin(ctx, client, "/minio/admin/v3/status-job", url.Values{"jobId": {id}}, &status)
		// A job that was started is not known at once.
		if err != nil && (!strings.Contains(err.Error(), "NoSuchJob") || time.Since(began) > 10*time.Second) {
			return err
		}
		switch m := status.LastMetric; {
		case m.Failed || m.KeyRotate.ObjectsFailed > 0:
			return fmt.Errorf("keyrotate failed: %+v", m)
		case m.Complete:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (t *task) admin(ctx context.Context, client *http.Client, path string, query url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.endpoint+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	req.Header.Set("X-Amz-Content-Sha256", empty)
	creds := aws.Credentials{AccessKeyID: t.accessKey, SecretAccessKey: t.secretKey}
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, empty, "s3", "us-east-1", time.Now()); err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status + ": " + lastLines(string(body)))
	}
	return json.Unmarshal(body, into)
}
