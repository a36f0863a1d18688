"""What this function answers. How requests and responses travel is in web.py."""

from urllib.parse import unquote

from wit_world import exports
from wit_world.imports import store, wasi_http_types as wasi

import web
from web import Request, Response


class Handler(exports.Handler):
    """What the host calls, once for each request; while one call waits, others may go on."""

    async def handle(self, request: wasi.Request) -> wasi.Response:
        return web.send(await answer(web.receive(request)))


async def answer(request: Request) -> Response:
    match request.method, request.path.split("/")[1:]:
        case "GET", [""]:
            return Response.text("Hello from Python!\n")
        case "GET", ["hello", name]:
            return hello(request.query.get("greeting", "Hello"), unquote(name))
        case "POST", ["echo"]:
            # The body goes out as it comes in, without being held here.
            kept = request.headers.get("content-type", "application/octet-stream")
            return Response(headers={"content-type": kept}, body=request.body)
        case "GET", ["fetch"]:
            return await fetch_length(request.query.get("url", ""))
        case "GET", ["count"]:
            return Response.text(f"{count()}\n")
    return Response.text("no such path\n", status=404)


def hello(greeting: str, name: str) -> Response:
    response = Response.text(f"{greeting}, {name}!\n")
    response.headers["x-language"] = "Python"
    return response


async def fetch_length(url: str) -> Response:
    """Asks another server. `allow.http` in midge.toml says which ones may be asked."""
    try:
        response = await web.fetch(url)
    except web.FetchError as error:
        return Response.text(f"no answer from {url}: {error}\n", status=502)
    body = await web.read(response.body)
    return Response.text(f"{response.status} {len(body)}\n")


def count() -> int:
    """Counts calls in a bucket that outlives this instance. `allow.kv` in midge.toml grants it."""
    with store.open("default") as bucket:
        now = int(bucket.get("count") or b"0") + 1
        bucket.set("count", str(now).encode())
    return now
