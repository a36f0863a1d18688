"""Requests and responses as plain values, over the bindings of `wasi:http` 0.2.

Bodies are held whole, which is simplest and fits most functions; the limits `request-body` and
`memory` in midge.toml bound them. What a `with` block opens must be given back before what it came
from, which is the order in which nested blocks end.
"""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from componentize_py_types import Err, Ok
from wit_world.imports import outgoing_handler
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import (
    Fields,
    IncomingBody,
    IncomingRequest,
    Method,
    Method_Other,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
    Scheme_Https,
)

# The most that one call may read, and the most that one call may write.
READ_BYTES_MAX = 64 * 1024
WRITE_BYTES_MAX = 4096


@dataclass
class Request:
    """A request, with its body. Names of headers are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Response:
    """A response, with its body."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def text(cls, text: str, status: int = 200) -> Self:
        return cls(status, {"content-type": "text/plain"}, text.encode())


class FetchError(Exception):
    """Why a server did not answer."""


def receive(request: IncomingRequest) -> Request:
    """Takes in the request that the host hands over."""
    with request:
        url = urlsplit(request.path_with_query() or "/")
        return Request(
            method=method_name(request.method()),
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers=headers_of(request.headers()),
            body=read(request.consume()),
        )


def send(response_out: ResponseOutparam, response: Response) -> None:
    """Sends the response: first its head, then its body."""
    outgoing = OutgoingResponse(fields_of(response.headers))
    outgoing.set_status_code(response.status)
    body = outgoing.body()
    ResponseOutparam.set(response_out, Ok(outgoing))
    with body.write() as stream:
        for start in range(0, len(response.body), WRITE_BYTES_MAX):
            stream.blocking_write_and_flush(response.body[start : start + WRITE_BYTES_MAX])
    OutgoingBody.finish(body, None)


def fetch(url: str) -> Response:
    """Sends a GET request, and waits for the whole answer."""
    parts = urlsplit(url)
    if not parts.netloc:
        raise FetchError("that is no URL of a server")
    request = OutgoingRequest(fields_of({}))
    try:
        request.set_scheme(Scheme_Http() if parts.scheme == "http" else Scheme_Https())
        request.set_authority(parts.netloc)
        request.set_path_with_query(path_with_query(parts))
        with outgoing_handler.handle(request, None) as future:
            with future.subscribe() as ready:
                ready.block()
            match future.get():
                case Ok(Ok(incoming)):
                    pass
                case Ok(Err(code)):
                    raise FetchError(words(code))
                case _:
                    raise FetchError("the host gave no answer")
        with incoming:
            headers = headers_of(incoming.headers())
            return Response(incoming.status(), headers, read(incoming.consume()))
    except Err as error:
        raise FetchError(words(error.value)) from error


def read(body: IncomingBody) -> bytes:
    chunks = []
    with body, body.stream() as stream:
        while True:
            try:
                chunks.append(stream.blocking_read(READ_BYTES_MAX))
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return b"".join(chunks)
                raise


def headers_of(fields: Fields) -> dict[str, str]:
    with fields:
        return {name.lower(): value.decode("latin-1") for name, value in fields.entries()}


def fields_of(headers: dict[str, str]) -> Fields:
    return Fields.from_list([(name, value.encode("latin-1")) for name, value in headers.items()])


def method_name(method: Method) -> str:
    if isinstance(method, Method_Other):
        return method.value
    return type(method).__name__.removeprefix("Method_").upper()


def path_with_query(url: SplitResult) -> str:
    return urlunsplit(("", "", url.path or "/", url.query, ""))


def words(code: object) -> str:
    """`ErrorCode_HttpRequestDenied()` as `HttpRequestDenied`."""
    return repr(code).removeprefix("ErrorCode_").removesuffix("()")
