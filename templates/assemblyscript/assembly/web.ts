// Requests, responses and buckets as plain objects, over the imports in wasi.ts.
//
// Bodies are held whole, which is simplest and fits most functions; the limits `request-body` and
// `memory` in midge.toml bound them.

import * as wasi from "./wasi";

// The most that one call may read, and the most that one call may write.
const READ_BYTES_MAX: u64 = 64 * 1024;
const WRITE_BYTES_MAX: i32 = 4096;

// Where the host writes results. The largest is that of `futureGet`, of 56 bytes.
const out = memory.data(64, 8);

/** A request, with its body. Names of headers are in lower case. */
export class Request {
  constructor(
    public method: string,
    public path: string,
    public query: Map<string, string>,
    public headers: Map<string, string>,
    public body: ArrayBuffer,
  ) {}
}

/** A response, with its body. */
export class Response {
  headers: Map<string, string> = new Map();

  constructor(
    public status: i32,
    public body: ArrayBuffer,
  ) {}

  static text(text: string, status: i32 = 200): Response {
    const response = new Response(status, String.UTF8.encode(text));
    response.headers.set("content-type", "text/plain");
    return response;
  }
}

/** What came of a request to another server: a response, or why there is none. */
export class Fetched {
  constructor(
    public response: Response | null,
    public error: string = "",
  ) {}
}

/** Keys and values that outlive the function's instances. */
export class Bucket {
  private constructor(private handle: i32) {}

  /** Opens a bucket that midge.toml grants. */
  static open(name: string): Bucket {
    const id = String.UTF8.encode(name);
    wasi.openBucket(address(id), id.byteLength, out);
    if (load<u8>(out)) throw new Error(`bucket ${name}: ${takeStoreError(out + 4)}`);
    return new Bucket(load<i32>(out, 4));
  }

  get(key: string): ArrayBuffer | null {
    const id = String.UTF8.encode(key);
    wasi.bucketGet(this.handle, address(id), id.byteLength, out);
    if (load<u8>(out)) throw new Error(`key ${key}: ${takeStoreError(out + 4)}`);
    return load<u8>(out, 4) ? takeBytes(out + 8) : null;
  }

  set(key: string, value: ArrayBuffer): void {
    const id = String.UTF8.encode(key);
    const length = value.byteLength;
    wasi.bucketSet(this.handle, address(id), id.byteLength, address(value), length, out);
    if (load<u8>(out)) throw new Error(`key ${key}: ${takeStoreError(out + 4)}`);
  }

  close(): void {
    wasi.dropBucket(this.handle);
  }
}

/** Takes in the request that the host hands over. */
export function receive(request: i32): Request {
  const method = takeMethod(request);
  wasi.requestPathWithQuery(request, out);
  const target = load<u8>(out) ? takeString(out + 4) : "/";
  const headers = takeHeaders(wasi.requestHeaders(request));
  wasi.requestConsume(request, out);
  const body = takeBody(load<i32>(out, 4));
  wasi.dropRequest(request);

  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = parseQuery(mark < 0 ? "" : target.slice(mark + 1));
  return new Request(method, path, query, headers, body);
}

/** Sends the response: first its head, then its body. */
export function send(responseOut: i32, response: Response): void {
  const outgoing = wasi.newOutgoingResponse(giveHeaders(response.headers));
  wasi.setStatusCode(outgoing, response.status);
  wasi.outgoingResponseBody(outgoing, out);
  const body = load<i32>(out, 4);
  wasi.responseOutparamSet(responseOut, 0, outgoing, 0, 0, 0, 0, 0, 0);

  wasi.outgoingBodyWrite(body, out);
  const stream = load<i32>(out, 4);
  write(stream, response.body);
  wasi.dropOutputStream(stream);
  wasi.outgoingBodyFinish(body, 0, 0, out);
}

/** Sends a GET request, and waits for the whole answer. */
export function fetch(url: string): Fetched {
  const schemeEnd = url.indexOf("://");
  if (schemeEnd < 0) return new Fetched(null, "that is no URL of a server");
  const isHttps = url.slice(0, schemeEnd) == "https";
  const rest = url.slice(schemeEnd + 3);
  const slash = rest.indexOf("/");
  const host = String.UTF8.encode(slash < 0 ? rest : rest.slice(0, slash));
  const path = String.UTF8.encode(slash < 0 ? "/" : rest.slice(slash));

  const request = wasi.newOutgoingRequest(wasi.newFields());
  const isRefused =
    wasi.setScheme(request, 1, isHttps ? 1 : 0, 0, 0) |
    wasi.setAuthority(request, 1, address(host), host.byteLength) |
    wasi.setPathWithQuery(request, 1, address(path), path.byteLength);
  if (isRefused) {
    wasi.dropOutgoingRequest(request);
    return new Fetched(null, "that is no URL of a server");
  }

  wasi.sendRequest(request, 0, 0, out);
  if (load<u8>(out)) return new Fetched(null, errorCode(load<u8>(out, 8)));
  const future = load<i32>(out, 8);
  const ready = wasi.futureSubscribe(future);
  wasi.block(ready);
  wasi.dropPollable(ready);
  // An option of a result of a result: whether it is there, whether it was taken before, whether
  // the server answered.
  wasi.futureGet(future, out);
  const error: string | null = load<u8>(out, 16) ? errorCode(load<u8>(out, 24)) : null;
  const response = load<i32>(out, 24);
  wasi.dropFuture(future);
  if (error) return new Fetched(null, error);

  const status = wasi.responseStatus(response);
  const headers = takeHeaders(wasi.responseHeaders(response));
  wasi.responseConsume(response, out);
  const fetched = new Response(status, takeBody(load<i32>(out, 4)));
  fetched.headers = headers;
  wasi.dropResponse(response);
  return new Fetched(fetched);
}

/** Called in place of `abort`: the function's log says why it ended. */
export function panic(message: string | null, file: string | null, line: u32, column: u32): void {
  const stderr = wasi.getStderr();
  const why = message ? message : "abort";
  write(stderr, String.UTF8.encode(`${why} (${file ? file : "?"}:${line}:${column})\n`));
  unreachable();
}

/** Memory for what the host hands over. */
export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  if (size == 0) return align;
  return old ? heap.realloc(old, size) : heap.alloc(size);
}

// --- from the host's memory layout and to it

function address(bytes: ArrayBuffer): usize {
  return changetype<usize>(bytes);
}

/** The bytes whose address and length stand at `at`. */
function takeBytes(at: usize): ArrayBuffer {
  const from = load<usize>(at);
  const length = load<i32>(at, 4);
  const bytes = new ArrayBuffer(length);
  if (length) {
    memory.copy(address(bytes), from, length);
    heap.free(from);
  }
  return bytes;
}

function takeString(at: usize): string {
  return String.UTF8.decode(takeBytes(at));
}

function takeMethod(request: i32): string {
  const methods: StaticArray<string> = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
  ];
  wasi.requestMethod(request, out);
  const method = load<u8>(out);
  return <i32>method < methods.length ? methods[method] : takeString(out + 4);
}

/** A list of pairs, each of a name and a value: four numbers. */
function takeHeaders(fields: i32): Map<string, string> {
  wasi.fieldsEntries(fields, out);
  wasi.dropFields(fields);
  const pairs = load<usize>(out);
  const length = load<i32>(out, 4);
  const headers = new Map<string, string>();
  for (let i = 0; i < length; i++) {
    const pair = pairs + i * 16;
    headers.set(takeString(pair).toLowerCase(), takeString(pair + 8));
  }
  if (length) heap.free(pairs);
  return headers;
}

function giveHeaders(headers: Map<string, string>): i32 {
  const fields = wasi.newFields();
  const names = headers.keys();
  for (let i = 0; i < names.length; i++) {
    const name = String.UTF8.encode(names[i]);
    const value = String.UTF8.encode(headers.get(names[i]));
    const length = value.byteLength;
    wasi.fieldsAppend(fields, address(name), name.byteLength, address(value), length, out);
    if (load<u8>(out)) throw new Error(`header ${names[i]} is not one that may be sent`);
  }
  return fields;
}

function takeBody(body: i32): ArrayBuffer {
  wasi.bodyStream(body, out);
  const stream = load<i32>(out, 4);
  const chunks: ArrayBuffer[] = [];
  let length = 0;
  while (true) {
    wasi.blockingRead(stream, READ_BYTES_MAX, out);
    if (load<u8>(out)) break;
    const chunk = takeBytes(out + 4);
    chunks.push(chunk);
    length += chunk.byteLength;
  }
  // The end of a body is an error of its own, the second one.
  if (load<u8>(out, 4) == 0) throw new Error("the body ended too early");
  wasi.dropInputStream(stream);
  wasi.dropBody(body);

  const whole = new ArrayBuffer(length);
  let end: usize = 0;
  for (let i = 0; i < chunks.length; i++) {
    memory.copy(address(whole) + end, address(chunks[i]), chunks[i].byteLength);
    end += chunks[i].byteLength;
  }
  return whole;
}

/** Stops where nobody reads any more, as when a caller has gone. */
function write(stream: i32, bytes: ArrayBuffer): void {
  for (let start = 0; start < bytes.byteLength; start += WRITE_BYTES_MAX) {
    const length = min(bytes.byteLength - start, WRITE_BYTES_MAX);
    wasi.blockingWrite(stream, address(bytes) + start, length, out);
    if (load<u8>(out)) return;
  }
}

function parseQuery(text: string): Map<string, string> {
  const query = new Map<string, string>();
  const pairs = text.split("&");
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i].replaceAll("+", " ");
    const mark = pair.indexOf("=");
    const name = mark < 0 ? pair : pair.slice(0, mark);
    query.set(decodeURIComponent(name), mark < 0 ? "" : decodeURIComponent(pair.slice(mark + 1)));
  }
  return query;
}

function takeStoreError(at: usize): string {
  const error = load<u8>(at);
  if (error == 0) return "there is no such store";
  return error == 1 ? "access is denied" : takeString(at + 4);
}

/** The cases of `error-code` that tell most; wit/deps/http.wit has them all, in this order. */
function errorCode(code: u8): string {
  switch (code) {
    case 1: return "its name is not known";
    case 4: return "that address is not allowed";
    case 6: return "the connection was refused";
    case 8: return "it took too long to connect";
    case 15: return "the request is not allowed";
    default: return `error code ${code}`;
  }
}
