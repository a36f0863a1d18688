// The smallest function in Go over `wasi:http`: whatever the request, a greeting.
//
// It speaks the interface's lowered calls by hand, so that the measurement holds Go's runtime and
// nothing of a binding generator's.
package main

import "unsafe"

//go:wasmimport wasi:http/types@0.2.12 [constructor]fields
func newFields() uint32

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]incoming-request
func dropRequest(request uint32)

//go:wasmimport wasi:http/types@0.2.12 [constructor]outgoing-response
func newResponse(headers uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-response.body
func responseBody(response uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-body.write
func bodyWrite(body uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [static]response-outparam.set
func setResponse(out, isError, response, e0 uint32, e1 uint64, e2, e3, e4, e5 uint32)

//go:wasmimport wasi:http/types@0.2.12 [static]outgoing-body.finish
func finishBody(body, hasTrailers, trailers uint32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.12 [method]output-stream.blocking-write-and-flush
func write(stream uint32, bytes unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.12 [resource-drop]output-stream
func dropStream(stream uint32)

// Where the host puts what a call returns: a tag, then a handle. The longest is an error code.
var result [8]uint64

func handle() uint32 { return uint32(result[0] >> 32) }

//go:wasmexport wasi:http/incoming-handler@0.2.12#handle
func serve(request, out uint32) {
	dropRequest(request)
	response := newResponse(newFields())
	responseBody(response, unsafe.Pointer(&result))
	body := handle()
	setResponse(out, 0, response, 0, 0, 0, 0, 0, 0)
	bodyWrite(body, unsafe.Pointer(&result))
	stream := handle()
	text := []byte("Hello from Go!\n")
	write(stream, unsafe.Pointer(&text[0]), uint32(len(text)), unsafe.Pointer(&result))
	dropStream(stream)
	finishBody(body, 0, 0, unsafe.Pointer(&result))
}

// Part of the interface's rules: where the host would put a list or a text. None is asked for.
//
//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	panic("no call of this program returns a list")
}

// Room for the preview 1 adapter, with the mark by which `midge build` finds it: the adapter must not
// grow the memory that Go's runtime believes to be its own.
var adapter = struct {
	mark   [16]byte
	room   *[adapterBytes / 8]uint64
	length uint64
}{[16]byte{'m', 'i', 'd', 'g', 'e', ':', 'a', 'd', 'a', 'p', 't', 'e', 'r', ' ', 'p', '1'}, &adapterRoom, adapterBytes}

const adapterBytes = 192 * 1024

var adapterRoom [adapterBytes / 8]uint64

// What nothing uses is not linked.
func init() {
	if adapter.length != adapterBytes {
		panic("the adapter's room is not what it was")
	}
}

func main() {}
