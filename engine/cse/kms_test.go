package cse

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// memoryKMS is KMS as far as envelopes go: blobs name their key and are bound to
// their context. It counts what it was asked.
type memoryKMS struct {
	t        testing.TB
	material map[string]string // key ARN → ID of its material
	mu       sync.Mutex
	calls    map[string]int
	contexts []string
	spoil    func(*ReEncryptReply)
}

const (
	keyA = "arn:aws:kms:us-east-1:111122223333:key/aaaaaaaa-0000-4000-8000-000000000001"
	keyB = "arn:aws:kms:us-east-1:111122223333:key/bbbbbbbb-0000-4000-8000-000000000002"
)

func newKMS(t testing.TB) *memoryKMS {
	return &memoryKMS{t: t, material: map[string]string{keyA: "m1", keyB: "m1"}, calls: map[string]int{}}
}

func (k *memoryKMS) called(name string, context map[string]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls[name]++
	k.contexts = append(k.contexts, writeDescription(context))
}

// arn knows a key by its ARN or the ID in it.
func (k *memoryKMS) arn(id string) string {
	for arn := range k.material {
		if arn == id || strings.HasSuffix(arn, ":key/"+id) {
			return arn
		}
	}
	k.t.Errorf("KMS was asked for the key %q", id)
	return ""
}

func (k *memoryKMS) seal(arn, material string, plain []byte, context map[string]string) []byte {
	gcm, err := newGCM(secretOf(arn))
	if err != nil {
		k.t.Fatal(err)
	}
	head := arn + "|" + material + "|"
	nonce := make([]byte, ivGCM)
	_, _ = rand.Read(nonce)
	return append([]byte(head), gcm.Seal(nonce, nonce, plain, []byte(head+writeDescription(context)))...)
}

func secretOf(arn string) []byte {
	sum := sha256.Sum256([]byte("test KMS " + arn))
	return sum[:]
}

func (k *memoryKMS) open(blob []byte, context map[string]string) (arn, material string, plain []byte, err error) {
	parts := strings.SplitN(string(blob), "|", 3)
	if len(parts) != 3 || len(parts[2]) < ivGCM {
		return "", "", nil, fmt.Errorf("no blob: %w", ErrInvalidCiphertext)
	}
	gcm, err := newGCM(secretOf(parts[0]))
	if err != nil {
		return "", "", nil, err
	}
	aad := parts[0] + "|" + parts[1] + "|" + writeDescription(context)
	plain, err = gcm.Open(nil, []byte(parts[2][:ivGCM]), []byte(parts[2][ivGCM:]), []byte(aad))
	if err != nil {
		err = fmt.Errorf("opening: %w", ErrInvalidCiphertext)
	}
	return parts[0], parts[1], plain, err
}

func (k *memoryKMS) ReEncrypt(_ context.Context, r ReEncryptRequest) (ReEncryptReply, error) {
	k.called("ReEncrypt", r.DestContext)
	arn, material, plain, err := k.open(r.Wrapped, r.SourceContext)
	if err != nil {
		return ReEncryptReply{}, err
	}
	if r.SourceKeyID != "" && k.arn(r.SourceKeyID) != arn {
		return ReEncryptReply{}, fmt.Errorf("source: %w", ErrIncorrectKey)
	}
	to := k.arn(r.KeyID)
	reply := ReEncryptReply{Wrapped: k.seal(to, k.material[to], plain, r.DestContext), SourceKeyID: arn, KeyID: to,
		SourceKeyMaterialID: material, KeyMaterialID: k.material[to]}
	if k.spoil != nil {
		k.spoil(&reply)
	}
	return reply, nil
}

func (k *memoryKMS) Decrypt(_ context.Context, r DecryptRequest) (DataKey, error) {
	k.called("Decrypt", r.Context)
	arn, _, plain, err := k.open(r.Wrapped, r.Context)
	if err != nil {
		return DataKey{}, err
	}
	if r.KeyID != "" && k.arn(r.KeyID) != arn {
		return DataKey{}, fmt.Errorf("source: %w", ErrIncorrectKey)
	}
	return NewDataKey(plain)
}

func (k *memoryKMS) Encrypt(_ context.Context, r EncryptRequest) ([]byte, error) {
	k.called("Encrypt", r.Context)
	to := k.arn(r.KeyID)
	return k.seal(to, k.material[to], r.Key.Bytes(), r.Context), nil
}

func (k *memoryKMS) GenerateDataKey(_ context.Context, r GenerateRequest) (DataKey, []byte, error) {
	k.called("GenerateDataKey", r.Context)
	b := make([]byte, dataKeySize)
	_, _ = rand.Read(b)
	d, err := NewDataKey(b)
	to := k.arn(r.KeyID)
	return d, k.seal(to, k.material[to], b, r.Context), err
}
