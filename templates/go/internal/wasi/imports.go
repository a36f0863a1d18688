package wasi

// The interfaces' functions as core WebAssembly calls them: a resource is a number, a text or list
// an address and a length, and a result that is more than a number is put into area.

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-request.method
func requestMethod(request uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-request.path-with-query
func requestPath(request uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-request.headers
func requestHeaders(request uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-request.consume
func consumeRequest(request uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]incoming-request
func dropRequest(request uint32)

//go:wasmimport wasi:http/types@0.2.12 [constructor]fields
func emptyFields() uint32

//go:wasmimport wasi:http/types@0.2.12 [method]fields.append
func appendField(fields uint32, name *byte, nameLength uint32, value *byte, valueLength uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [method]fields.entries
func fieldsEntries(fields uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]fields
func dropFields(fields uint32)

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-body.stream
func incomingStream(body uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]incoming-body
func dropIncomingBody(body uint32)

//go:wasmimport wasi:http/types@0.2.12 [constructor]outgoing-response
func newOutgoingResponse(fields uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-response.set-status-code
func setStatus(response, status uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-response.body
func outgoingResponseBody(response uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [static]response-outparam.set
func setResponse(out, isError, response, e0 uint32, e1 uint64, e2, e3, e4, e5 uint32)

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-body.write
func outgoingStream(body uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [static]outgoing-body.finish
func finishBody(body, hasTrailers, trailers uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]outgoing-body
func dropOutgoingBody(body uint32)

//go:wasmimport wasi:http/types@0.2.12 [constructor]outgoing-request
func newOutgoingRequest(fields uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-request.set-scheme
func setScheme(request, isSome, scheme uint32, other *byte, otherLength uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-request.set-authority
func setAuthority(request, isSome uint32, authority *byte, length uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-request.set-path-with-query
func setPath(request, isSome uint32, path *byte, length uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]outgoing-request
func dropOutgoingRequest(request uint32)

//go:wasmimport wasi:http/outgoing-handler@0.2.12 handle
func send(request, hasOptions, options uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [method]future-incoming-response.subscribe
func subscribe(future uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]future-incoming-response.get
func futureResponse(future uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]future-incoming-response
func dropFuture(future uint32)

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-response.status
func responseStatus(response uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-response.headers
func responseHeaders(response uint32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-response.consume
func consumeResponse(response uint32, result *[8]uint64)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]incoming-response
func dropIncomingResponse(response uint32)

//go:wasmimport wasi:io/poll@0.2.12 [method]pollable.block
func block(pollable uint32)

//go:wasmimport wasi:io/poll@0.2.12 [resource-drop]pollable
func dropPollable(pollable uint32)

//go:wasmimport wasi:io/streams@0.2.12 [method]input-stream.blocking-read
func blockingRead(stream uint32, length uint64, result *[8]uint64)

//go:wasmimport wasi:io/streams@0.2.12 [resource-drop]input-stream
func dropInputStream(stream uint32)

//go:wasmimport wasi:io/streams@0.2.12 [method]output-stream.blocking-write-and-flush
func blockingWrite(stream uint32, bytes *byte, length uint32, result *[8]uint64)

//go:wasmimport wasi:io/streams@0.2.12 [resource-drop]output-stream
func dropOutputStream(stream uint32)

//go:wasmimport wasi:io/error@0.2.12 [resource-drop]error
func dropError(err uint32)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 open
func open(name *byte, length uint32, result *[8]uint64)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [method]bucket.get
func bucketGet(bucket uint32, key *byte, length uint32, result *[8]uint64)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [method]bucket.set
func bucketSet(bucket uint32, key *byte, length uint32, value *byte, valueLength uint32, result *[8]uint64)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [method]bucket.delete
func bucketDelete(bucket uint32, key *byte, length uint32, result *[8]uint64)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [resource-drop]bucket
func dropBucket(bucket uint32)
