import { Bucket, Request, Response, fetch, receive, send } from "./web";

// What the host calls to hand over lists and strings.
export { cabi_realloc } from "./web";

/** What the host calls, once for each request; exports.js gives it the name that the host knows. */
export function handle(request: i32, responseOut: i32): void {
  send(responseOut, answer(receive(request)));
  // Nothing here is in use any more, so that this instance may take another request.
  __collect();
}

function answer(request: Request): Response {
  const route = `${request.method} ${request.path}`;

  if (route == "GET /") return Response.text("Hello from AssemblyScript!\n");
  if (route.startsWith("GET /hello/")) {
    const name = decodeURIComponent(request.path.slice("/hello/".length));
    return hello(request.query.has("greeting") ? request.query.get("greeting") : "Hello", name);
  }
  if (route == "POST /echo") return echo(request);
  if (route == "GET /fetch") {
    return fetchLength(request.query.has("url") ? request.query.get("url") : "");
  }
  if (route == "GET /count") return Response.text(`${count()}\n`);
  return Response.text("no such path\n", 404);
}

function hello(greeting: string, name: string): Response {
  const response = Response.text(`${greeting}, ${name}!\n`);
  response.headers.set("x-language", "AssemblyScript");
  return response;
}

function echo(request: Request): Response {
  const known = request.headers.has("content-type");
  const type = known ? request.headers.get("content-type") : "application/octet-stream";
  const response = new Response(200, request.body);
  response.headers.set("content-type", type);
  return response;
}

/** Asks another server. `allow.http` in midge.toml says which ones may be asked. */
function fetchLength(url: string): Response {
  const fetched = fetch(url);
  const response = fetched.response;
  if (!response) return Response.text(`no answer from ${url}: ${fetched.error}\n`, 502);
  return Response.text(`${response.status} ${response.body.byteLength}\n`);
}

/** Counts calls in a bucket, which outlives this instance. `allow.kv` in midge.toml grants it. */
function count(): i32 {
  const bucket = Bucket.open("default");
  const before = bucket.get("count");
  const now = before ? I32.parseInt(String.UTF8.decode(before)) + 1 : 1;
  bucket.set("count", String.UTF8.encode(now.toString()));
  bucket.close();
  return now;
}
