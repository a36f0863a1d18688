// The smallest function in JavaScript that can be asked again: an instance takes one "fetch" event
// only, but its export any number of requests.
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.10";

const encoder = new TextEncoder();
const text = encoder.encode("Hello from JavaScript!\n");
const headers = [["content-type", encoder.encode("text/plain")]];

export const incomingHandler = {
  handle(request, out) {
    const response = new OutgoingResponse(Fields.fromList(headers));
    const body = response.body();
    ResponseOutparam.set(out, { tag: "ok", val: response });
    const stream = body.write();
    stream.blockingWriteAndFlush(text);
    stream[Symbol.dispose]();
    OutgoingBody.finish(body, undefined);
  },
};
