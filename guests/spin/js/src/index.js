// A counter, as the JavaScript SDK of Spin has it in its templates.
import { Kv, ResponseBuilder, Variables } from "@fermyon/spin-sdk";

async function handler(request, response) {
  const key = new URL(request.url).pathname.slice(1);
  const store = Kv.openDefault();
  const count = store.exists(key) ? store.getJson(key) + 1 : 1;
  store.setJson(key, count);
  const greeting = Variables.get("greeting");
  response.set("content-type", "text/plain");
  response.send(`${greeting}, ${key} ${count} of ${store.getKeys().join(",")}\n`);
}

async function handleEvent(event) {
  let resolve;
  event.respondWith(new Promise((answer) => (resolve = answer)));
  await handler(event.request, new ResponseBuilder(resolve));
}

addEventListener("fetch", (event) => handleEvent(event));
