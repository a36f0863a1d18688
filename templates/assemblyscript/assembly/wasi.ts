// @ts-nocheck: editors take this for TypeScript, which has no decorators of functions.
//
// What wit/world.wit offers, by its names there, with the types of the component model's canonical
// ABI (only what web.ts needs; the WIT in wit/deps has more, and what each of them does):
//
// - A resource, an enum and a `result` without values are a number.
// - A string or list is its address and its length in bytes or elements, strings in UTF-8.
// - An `option` is whether there is a value, then the value; a `variant` which case it is, then the
//   values of all its cases laid over each other.
// - A result of more than one number is written to memory, at the address that the caller gives as
//   `out`: each part at the next multiple of its size, which case it is in one byte.
// - What the host puts into our memory it gets from `cabi_realloc`, and it is ours to free.
// - A resource that came from another one, such as the stream of a body, is dropped before it.

@external("wasi:http/types@0.2.12", "[constructor]fields")
export declare function newFields(): i32;
@external("wasi:http/types@0.2.12", "[method]fields.append")
export declare function fieldsAppend(
  self: i32, name: usize, nameLength: i32, value: usize, valueLength: i32, out: usize,
): void;
@external("wasi:http/types@0.2.12", "[method]fields.entries")
export declare function fieldsEntries(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[resource-drop]fields")
export declare function dropFields(self: i32): void;
@external("wasi:http/types@0.2.12", "[method]incoming-request.method")
export declare function requestMethod(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[method]incoming-request.path-with-query")
export declare function requestPathWithQuery(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[method]incoming-request.headers")
export declare function requestHeaders(self: i32): i32;
@external("wasi:http/types@0.2.12", "[method]incoming-request.consume")
export declare function requestConsume(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[resource-drop]incoming-request")
export declare function dropRequest(self: i32): void;
@external("wasi:http/types@0.2.12", "[method]incoming-body.stream")
export declare function bodyStream(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[resource-drop]incoming-body")
export declare function dropBody(self: i32): void;
@external("wasi:http/types@0.2.12", "[constructor]outgoing-response")
export declare function newOutgoingResponse(headers: i32): i32;
@external("wasi:http/types@0.2.12", "[method]outgoing-response.set-status-code")
export declare function setStatusCode(self: i32, status: i32): i32;
@external("wasi:http/types@0.2.12", "[method]outgoing-response.body")
export declare function outgoingResponseBody(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[method]outgoing-body.write")
export declare function outgoingBodyWrite(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[static]outgoing-body.finish")
export declare function outgoingBodyFinish(
  self: i32, hasTrailers: i32, trailers: i32, out: usize,
): void;
@external("wasi:http/types@0.2.12", "[static]response-outparam.set")
export declare function responseOutparamSet(
  self: i32, isError: i32, response: i32, e1: i32, e2: i64, e3: i32, e4: i32, e5: i32, e6: i32,
): void;
@external("wasi:http/types@0.2.12", "[constructor]outgoing-request")
export declare function newOutgoingRequest(headers: i32): i32;
@external("wasi:http/types@0.2.12", "[method]outgoing-request.set-scheme")
export declare function setScheme(
  self: i32, isSome: i32, scheme: i32, other: usize, otherLength: i32,
): i32;
@external("wasi:http/types@0.2.12", "[method]outgoing-request.set-authority")
export declare function setAuthority(self: i32, isSome: i32, text: usize, textLength: i32): i32;
@external("wasi:http/types@0.2.12", "[method]outgoing-request.set-path-with-query")
export declare function setPathWithQuery(self: i32, isSome: i32, text: usize, textLength: i32): i32;
@external("wasi:http/types@0.2.12", "[resource-drop]outgoing-request")
export declare function dropOutgoingRequest(self: i32): void;
@external("wasi:http/types@0.2.12", "[method]future-incoming-response.subscribe")
export declare function futureSubscribe(self: i32): i32;
@external("wasi:http/types@0.2.12", "[method]future-incoming-response.get")
export declare function futureGet(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[resource-drop]future-incoming-response")
export declare function dropFuture(self: i32): void;
@external("wasi:http/types@0.2.12", "[method]incoming-response.status")
export declare function responseStatus(self: i32): i32;
@external("wasi:http/types@0.2.12", "[method]incoming-response.headers")
export declare function responseHeaders(self: i32): i32;
@external("wasi:http/types@0.2.12", "[method]incoming-response.consume")
export declare function responseConsume(self: i32, out: usize): void;
@external("wasi:http/types@0.2.12", "[resource-drop]incoming-response")
export declare function dropResponse(self: i32): void;

@external("wasi:http/outgoing-handler@0.2.12", "handle")
export declare function sendRequest(request: i32, hasOptions: i32, options: i32, out: usize): void;

@external("wasi:io/poll@0.2.12", "[method]pollable.block")
export declare function block(self: i32): void;
@external("wasi:io/poll@0.2.12", "[resource-drop]pollable")
export declare function dropPollable(self: i32): void;

@external("wasi:io/streams@0.2.12", "[method]input-stream.blocking-read")
export declare function blockingRead(self: i32, lengthMax: u64, out: usize): void;
@external("wasi:io/streams@0.2.12", "[resource-drop]input-stream")
export declare function dropInputStream(self: i32): void;
@external("wasi:io/streams@0.2.12", "[method]output-stream.blocking-write-and-flush")
export declare function blockingWrite(self: i32, bytes: usize, length: i32, out: usize): void;
@external("wasi:io/streams@0.2.12", "[resource-drop]output-stream")
export declare function dropOutputStream(self: i32): void;

@external("wasi:cli/stderr@0.2.12", "get-stderr")
export declare function getStderr(): i32;

@external("wasi:keyvalue/store@0.2.0-draft2", "open")
export declare function openBucket(name: usize, nameLength: i32, out: usize): void;
@external("wasi:keyvalue/store@0.2.0-draft2", "[method]bucket.get")
export declare function bucketGet(self: i32, key: usize, keyLength: i32, out: usize): void;
@external("wasi:keyvalue/store@0.2.0-draft2", "[method]bucket.set")
export declare function bucketSet(
  self: i32, key: usize, keyLength: i32, value: usize, valueLength: i32, out: usize,
): void;
@external("wasi:keyvalue/store@0.2.0-draft2", "[resource-drop]bucket")
export declare function dropBucket(self: i32): void;
