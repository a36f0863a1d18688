# workerd with the JavaScript hello that midge runs, too. Where it listens comes from its command
# line: `workerd serve config.capnp --socket-addr http=127.0.0.1:8080`.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "hello", worker = .hello)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "hello")],
);

const hello :Workerd.Worker = (
  serviceWorkerScript = embed "../hello-js/hello.js",
  compatibilityDate = "2026-11-01",
);
