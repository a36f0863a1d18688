package wasi

import (
	"errors"
	"io"
)

// A body is one that comes in. It ends its stream when it was read to the end.
type body struct {
	body, stream uint32
	err          error
}

func newBody(handle uint32) *body {
	incomingStream(handle, fresh())
	return &body{body: handle, stream: handleAt(4)}
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	blockingRead(b.stream, uint64(min(len(p), 64*1024)), fresh())
	if byteAt(0) == 0 {
		return copy(p, bytesAt(4)), nil
	}
	b.err = streamErrorAt(4)
	dropInputStream(b.stream)
	dropIncomingBody(b.body)
	return 0, b.err
}

// An outputStream is the handle of one.
type outputStream uint32

func bodyStream(body uint32) uint32 {
	outgoingStream(body, fresh())
	return handleAt(4)
}

func (s outputStream) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		// The interface takes this much at a time.
		part := p[written:min(written+4096, len(p))]
		blockingWrite(uint32(s), bytesPointer(part), uint32(len(part)), fresh())
		if byteAt(0) == 1 {
			return written, streamErrorAt(4)
		}
		written += len(part)
	}
	return written, nil
}

// streamErrorAt reads why a stream gave nothing: io.EOF at its end.
func streamErrorAt(offset uintptr) error {
	if byteAt(offset) == 1 {
		return io.EOF
	}
	dropError(handleAt(offset + 4))
	return errors.New("the stream broke off")
}

// takeHeader reads fields and drops them.
func takeHeader(fields uint32) Header {
	fieldsEntries(fields, fresh())
	header := Header{}
	for _, entry := range listOf[[4]uint32](handleAt(0), handleAt(4)) {
		name := string(listOf[byte](entry[0], entry[1]))
		header[name] = append(header[name], string(listOf[byte](entry[2], entry[3])))
	}
	dropFields(fields)
	return header
}

// newFields makes fields of a header. One that is not allowed, such as `connection`, is left out.
func newFields(header Header) uint32 {
	fields := emptyFields()
	for name, values := range header {
		for _, value := range values {
			appendField(fields, pointer(name), uint32(len(name)), pointer(value), uint32(len(value)), fresh())
		}
	}
	return fields
}

var methods = [...]string{
	"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
}

func methodAt(offset uintptr) string {
	if tag := int(byteAt(offset)); tag < len(methods) {
		return methods[tag]
	}
	return textAt(offset + 4)
}

// The cases of wasi:http/types.error-code.
var httpErrors = [...]string{
	"DNS timeout", "DNS error", "destination not found", "destination unavailable",
	"destination IP prohibited", "destination IP unroutable", "connection refused",
	"connection terminated", "connection timeout", "connection read timeout",
	"connection write timeout", "connection limit reached", "TLS protocol error",
	"TLS certificate error", "TLS alert received", "HTTP request denied",
	"HTTP request length required", "HTTP request body size", "HTTP request method invalid",
	"HTTP request URI invalid", "HTTP request URI too long", "HTTP request header section size",
	"HTTP request header size", "HTTP request trailer section size", "HTTP request trailer size",
	"HTTP response incomplete", "HTTP response header section size", "HTTP response header size",
	"HTTP response body size", "HTTP response trailer section size", "HTTP response trailer size",
	"HTTP response transfer coding", "HTTP response content coding", "HTTP response timeout",
	"HTTP upgrade failed", "HTTP protocol error", "loop detected", "configuration error",
	"internal error",
}

func httpErrorAt(offset uintptr) error {
	tag := byteAt(offset)
	if int(tag) < len(httpErrors) {
		return errors.New(httpErrors[tag])
	}
	return errors.New("unknown error")
}
