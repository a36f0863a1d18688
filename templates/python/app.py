"""What this function answers. How requests and responses travel is in web.py."""

from urllib.parse import unquote

from wit_world import exports
from wit_world.imports import store
from wit_world.imports.types import IncomingRequest, ResponseOutparam

import web
from web import Request, Response


class IncomingHandler(exports.IncomingHandler):
    """What the host calls, once for each request."""

    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        web.send(response_out, answer(web.receive(request)))


def answer(request: Request) -> Response:
    match request.method, request.path.split("/")[1:]:
        case "GET", [""]:
            return Response.text("Hello from Python!\n")
        case "GET", ["hello", name]:
            return hello(request.query.get("greeting", "Hello"), unquote(name))
        case "POST", ["echo"]:
            kept = request.headers.get("content-type", "application/octet-stream")
            return Response(headers={"content-type": kept}, body=request.body)
        case "GET", ["fetch"]:
            return fetch_length(request.query.get("url", ""))
        case "GET", ["count"]:
            return Response.text(f"{count()}\n")
    return Response.text("no such path\n", status=404)


def hello(greeting: str, name: str) -> Response:
    response = Response.text(f"{greeting}, {name}!\n")
    response.headers["x-language"] = "Python"
    return response


def fetch_length(url: str) -> Response:
    """Asks another server. `allow.http` in midge.toml says which ones may be asked."""
    try:
        response = web.fetch(url)
    except web.FetchError as error:
        return Response.text(f"no answer from {url}: {error}\n", status=502)
    return Response.text(f"{response.status} {len(response.body)}\n")


def count() -> int:
    """Counts calls in a bucket that outlives this instance. `allow.kv` in midge.toml grants it."""
    with store.open("default") as bucket:
        now = int(bucket.get("count") or b"0") + 1
        bucket.set("count", str(now).encode())
    return now
