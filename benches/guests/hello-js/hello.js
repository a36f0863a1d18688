// The smallest function in JavaScript. midge and workerd run this same file.
addEventListener("fetch", (event) => {
  event.respondWith(
    new Response("Hello from JavaScript!\n", { headers: { "content-type": "text/plain" } }),
  );
});
