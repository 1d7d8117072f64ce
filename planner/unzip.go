package planner

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// Unzip is the text of a file that somebody wrote, compressed by gzip or not. Its
// errors say in words what is wrong with a compressed one. It ends with its context, also
// where what was read ahead unpacks to a thousand times as much.
func Unzip(ctx context.Context, file *bufio.Reader) (io.Reader, error) {
	if head, _ := file.Peek(2); string(head) != "\x1f\x8b" {
		return file, nil
	}
	z, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("it is no gzip: %w", err)
	}
	return &unzipped{z, ctx}, nil
}

// unzipped tells a file that ends too early from one that is damaged.
type unzipped struct {
	z   *gzip.Reader
	ctx context.Context
}

func (u *unzipped) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := u.z.Read(p)
	switch err {
	case nil, io.EOF:
	case io.ErrUnexpectedEOF:
		err = fmt.Errorf("the gzip file is truncated: %w", err)
	default:
		err = fmt.Errorf("the gzip file is damaged: %w", err)
	}
	return n, err
}
