//! `midge-bench-plain`: the engine alone, embedded as its own documentation shows.
//!
//! Midge beside it shows what isolation costs beyond an instance for each request: the same engine
//! in the same version, one process with a thread per core, pooled instances, memory mapped
//! copy-on-write, everything at its default. No limits, no routes, no log, no grants.
//!
//! **Invariant:** each request has an instance of its own, as midge's `fresh` has.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "a tool for people; the product prints through say.rs only"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Parser;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, Store, format_err};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// Serves a component of `wasi:http` 0.2 with the engine's defaults.
#[derive(Parser)]
struct Args {
    /// Component
    component: PathBuf,
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Environment variable of the guest
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads);
    }
    let served = runtime.enable_all().build()?.block_on(serve(args));
    served.map_err(|err| anyhow::anyhow!("{err:?}"))
}

async fn serve(args: Args) -> wasmtime::Result<()> {
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::pooling());
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, &args.component)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let server = Arc::new(Server {
        pre: ProxyPre::new(linker.instantiate_pre(&component)?)?,
        variables: args.variables,
    });

    let listener = TcpListener::bind(args.listen).await.context("listen")?;
    let address = listener.local_addr().context("read the address")?;
    eprintln!("listening on http://{address}");
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        tokio::spawn(connection(Arc::clone(&server), stream));
    }
}

async fn connection(server: Arc<Server>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { server.answer(request).await }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(err) = connection.await {
        eprintln!("connection: {err}");
    }
}

struct Server {
    pre: ProxyPre<Guest>,
    variables: Vec<(String, String)>,
}

impl Server {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> wasmtime::Result<Response<HyperOutgoingBody>> {
        let wasi = WasiCtx::builder().envs(&self.variables).build();
        let guest = Guest {
            wasi,
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            hooks: Nowhere,
        };
        let mut store = Store::new(self.pre.engine(), guest);
        let (sender, receiver) = oneshot::channel();
        let request = store
            .data_mut()
            .http()
            .new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(sender)?;
        let pre = self.pre.clone();
        // A task of its own: the guest may go on after the response's head.
        let task = tokio::spawn(async move {
            let proxy = pre.instantiate_async(&mut store).await?;
            proxy
                .wasi_http_incoming_handler()
                .call_handle(store, request, out)
                .await
        });
        match receiver.await {
            Ok(response) => Ok(response?),
            Err(_) => {
                task.await??;
                Err(format_err!("the guest ended without a response"))
            }
        }
    }
}

struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: Nowhere,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// Refuses requests of the guest's: the engine's own client is not built in, because no guest
/// that is measured here sends any, and what is built in changes what midge is built of.
struct Nowhere;

type Ended<T> = Box<dyn Future<Output = Result<T, Error>> + Send>;

impl WasiHttpHooks for Nowhere {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmitted: Ended<()>,
    ) -> Ended<(Response<WasiBody>, Ended<()>)> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
