import { open } from "wasi:keyvalue/store@0.2.0-draft2";

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url);
  const route = `${request.method} ${pathname}`;

  if (route === "GET /") return text("Hello from JavaScript!\n");
  if (route.startsWith("GET /hello/")) {
    const name = decodeURIComponent(pathname.slice("/hello/".length));
    return hello(searchParams.get("greeting") ?? "Hello", name);
  }
  if (route === "POST /echo") return echo(request);
  if (route === "GET /fetch") return fetchLength(searchParams.get("url") ?? "");
  if (route === "GET /count") return text(`${count()}\n`);
  return text("no such path\n", { status: 404 });
}

function hello(greeting, name) {
  return text(`${greeting}, ${name}!\n`, { headers: { "x-language": "JavaScript" } });
}

/** Sends the body back as it comes in, without keeping it. */
function echo(request) {
  const type = request.headers.get("content-type") ?? "application/octet-stream";
  return new Response(request.body, { headers: { "content-type": type } });
}

/** Asks another server. `allow.http` in midge.toml says which ones may be asked. */
async function fetchLength(url) {
  try {
    const response = await fetch(url);
    const { byteLength } = await response.arrayBuffer();
    return text(`${response.status} ${byteLength}\n`);
  } catch (error) {
    return text(`no answer from ${url}: ${error}\n`, { status: 502 });
  }
}

/** Counts calls in a bucket, which outlives this instance. `allow.kv` in midge.toml grants it. */
function count() {
  const bucket = open("default");
  const before = new TextDecoder().decode(bucket.get("count"));
  const now = Number(before) + 1;
  bucket.set("count", new TextEncoder().encode(`${now}`));
  return now;
}

function text(body, { status = 200, headers = {} } = {}) {
  return new Response(body, { status, headers: { "content-type": "text/plain", ...headers } });
}
