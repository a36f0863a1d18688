"""A counter, as the Python SDK of Spin has it in its examples."""

from spin_sdk import key_value, variables
from spin_sdk.http import IncomingHandler, Request, Response


class IncomingHandler(IncomingHandler):
    def handle_request(self, request: Request) -> Response:
        key = request.uri.strip("/")
        with key_value.open_default() as store:
            count = int(store.get(key) or b"0") + 1
            store.set(key, str(count).encode())
            keys = ",".join(store.get_keys())
        greeting = variables.get("greeting")
        return Response(
            200,
            {"content-type": "text/plain"},
            f"{greeting}, {key} {count} of {keys}\n".encode(),
        )
