"""Requests and responses as plain values, over the bindings of `wasi:http` 0.3.

Bodies are streams: a response may be sent on while it still arrives, and the host is told when no
more of it can be taken. `read` holds one whole, which the limit `memory` in midge.toml bounds.
"""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

import wit_world
from componentize_py_async_support import spawn
from componentize_py_async_support.futures import FutureReader
from componentize_py_async_support.streams import ByteStreamReader, ByteStreamWriter
from componentize_py_types import Err, Ok, Result
from wit_world.imports import client, wasi_http_types as wasi

# The most that one call may read.
READ_BYTES_MAX = 64 * 1024

type Body = bytes | ByteStreamReader


@dataclass
class Request:
    """A request, whose body may still be on its way. Names of headers are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Body


@dataclass
class Response:
    """A response, whose body may still be on its way."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = b""

    @classmethod
    def text(cls, text: str, status: int = 200) -> Self:
        return cls(status, {"content-type": "text/plain"}, text.encode())


class FetchError(Exception):
    """Why a server did not answer."""


def receive(request: wasi.Request) -> Request:
    """Takes in the request that the host hands over."""
    url = urlsplit(request.get_path_with_query() or "/")
    method = method_name(request.get_method())
    headers = headers_of(request.get_headers())
    body, _ = wasi.Request.consume_body(request, no_error())
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(method, url.path, query, headers, body)


def send(response: Response) -> wasi.Response:
    """Makes what the host sends. The body follows once the host has taken the response."""
    fields = fields_of(response.headers)
    outgoing, _ = wasi.Response.new(fields, stream_of(response.body), no_trailers())
    outgoing.set_status_code(response.status)
    return outgoing


async def fetch(url: str) -> Response:
    """Sends a GET request, and waits for the head of the answer."""
    parts = urlsplit(url)
    if not parts.netloc:
        raise FetchError("that is no URL of a server")
    try:
        request, _ = wasi.Request.new(fields_of({}), None, no_trailers(), None)
        request.set_scheme(wasi.Scheme_Http() if parts.scheme == "http" else wasi.Scheme_Https())
        request.set_authority(parts.netloc)
        request.set_path_with_query(path_with_query(parts))
        incoming = await client.send(request)
    except Err as error:
        raise FetchError(words(error.value)) from error
    status = incoming.get_status_code()
    headers = headers_of(incoming.get_headers())
    body, _ = wasi.Response.consume_body(incoming, no_error())
    return Response(status, headers, body)


async def read(body: Body) -> bytes:
    """The whole of a body."""
    if isinstance(body, bytes):
        return body
    chunks = []
    with body:
        while not body.writer_dropped:
            chunks.append(await body.read(READ_BYTES_MAX))
    return b"".join(chunks)


def stream_of(body: Body) -> ByteStreamReader | None:
    if isinstance(body, ByteStreamReader):
        return body
    if not body:
        return None
    writer, reader = wit_world.byte_stream()
    spawn(write(writer, body))
    return reader


async def write(writer: ByteStreamWriter, body: bytes) -> None:
    with writer:
        await writer.write_all(body)


# A future's writing end that nobody keeps sends the value that it was made with.


def no_error() -> FutureReader[Result[None, wasi.ErrorCode]]:
    return wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))[1]


def no_trailers() -> FutureReader[Result[wasi.Fields | None, wasi.ErrorCode]]:
    make = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future
    return make(lambda: Ok(None))[1]


def headers_of(fields: wasi.Fields) -> dict[str, str]:
    with fields:
        return {name.lower(): value.decode("latin-1") for name, value in fields.copy_all()}


def fields_of(headers: dict[str, str]) -> wasi.Fields:
    return wasi.Fields.from_list(
        [(name, value.encode("latin-1")) for name, value in headers.items()]
    )


def method_name(method: wasi.Method) -> str:
    if isinstance(method, wasi.Method_Other):
        return method.value
    return type(method).__name__.removeprefix("Method_").upper()


def path_with_query(url: SplitResult) -> str:
    return urlunsplit(("", "", url.path or "/", url.query, ""))


def words(code: object) -> str:
    """`ErrorCode_HttpRequestDenied()` as `HttpRequestDenied`."""
    return repr(code).removeprefix("ErrorCode_").removesuffix("()")
