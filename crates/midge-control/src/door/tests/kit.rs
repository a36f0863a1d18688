//! A door that is open, and a node behind it that does as it is told.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use midge_api::{
    Client, ClientConfig, DeployRequest, InvocationSummary, LogLine, NodeStatus, Role, Upload,
    WorkerStatus,
};
use midge_model::{Digest, FunctionName, Grants, NamespaceName, Policy, RevisionNumber, Timestamp};
use midge_store::{Embedded, Vault, Version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::{
    Auth, CompileFault, CompileReport, Control, ControlConfig, ControlParts, Invoke, InvokeFault,
    LogFeed, Node, NotServed,
};

/// The most that a component has here.
pub(super) const COMPONENT_BYTES_MAX: u64 = 4 << 20;
/// Requests that the test node serves at a time, where nobody holds them back.
pub(super) const PERMITS: usize = 64;
/// The end of every wait: far longer than anything here takes.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(20);

/// A door on a port of its own, with a store of its own.
pub(super) struct Stage {
    pub(super) address: SocketAddr,
    pub(super) client: Client,
    pub(super) token: String,
    pub(super) node: Arc<TestNode>,
    pub(super) control: Arc<Control>,
    stop: Option<oneshot::Sender<()>>,
    pub(super) served: JoinHandle<()>,
    _kept: TempDir,
}

/// A node that compiles nothing and serves at once.
#[derive(Debug)]
pub(super) struct TestNode {
    pub(super) ready: AtomicBool,
    pub(super) lines: broadcast::Sender<LogLine>,
    /// What the last function was asked, as it was told.
    pub(super) asked: Mutex<Option<(http::request::Parts, Option<RevisionNumber>)>>,
    /// A request holds on until somebody lets it go.
    pub(super) held: tokio::sync::Semaphore,
}

impl Stage {
    pub(super) async fn open() -> Self {
        Self::open_with(None).await
    }

    pub(super) async fn open_with(tls: Option<TlsAcceptor>) -> Self {
        Self::open_as(Auth::Tokens, tls).await
    }

    /// A door that asks for no token.
    pub(super) async fn open_to_all() -> Self {
        Self::open_as(Auth::None, None).await
    }

    async fn open_as(auth: Auth, tls: Option<TlsAcceptor>) -> Self {
        let kept = TempDir::new().unwrap();
        let node = Arc::new(TestNode {
            ready: AtomicBool::new(true),
            lines: broadcast::channel(16).0,
            asked: Mutex::new(None),
            held: tokio::sync::Semaphore::new(PERMITS),
        });
        let control = Arc::new(control(kept.path(), node.clone(), auth));
        control.prepare().await.unwrap();
        let mut token = String::new();
        control
            .first_token(|text| {
                text.clone_into(&mut token);
                Ok(())
            })
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(crate::serve(listener, tls, control.clone(), async move {
            drop(stopped.await);
        }));
        Self {
            client: client(&format!("http://{address}"), Some(&token)),
            address,
            token,
            node,
            control,
            stop: Some(stop),
            served,
            _kept: kept,
        }
    }

    /// As somebody else, or as nobody.
    pub(super) fn client_of(&self, token: Option<&str>) -> Client {
        client(&format!("http://{}", self.address), token)
    }

    /// Asks the door to close.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Sends these bytes and reads until the door closes the connection, or has answered with a
    /// whole message and keeps it open.
    pub(super) async fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let reading = socket.read_to_end(&mut answer);
        tokio::time::timeout(WAIT_MAX, reading).await.unwrap().ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One request that closes its connection; the answer's head and body, ids and dates away.
    pub(super) async fn ask(&self, line: &str, fields: &[(&str, &str)], body: &str) -> String {
        let mut request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in fields {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        shown(&self.raw(request.as_bytes()).await)
    }

    /// The same, with the token of the stage and JSON.
    pub(super) async fn ask_as_admin(&self, line: &str, body: &str) -> String {
        let bearer = format!("Bearer {}", self.token);
        let mut fields = vec![("authorization", bearer.as_str())];
        if !body.is_empty() {
            fields.push(("content-type", "application/json"));
        }
        self.ask(line, &fields, body).await
    }

    /// A token of this role; of this namespace, or of the whole node.
    pub(super) async fn token_of(&self, role: Role, namespace: Option<&str>) -> String {
        let namespace = namespace.map(|name| name.parse().unwrap());
        self.control.local_token("test", role, namespace).unwrap()
    }

    /// A connection that has sent this.
    pub(super) async fn sent(&self, bytes: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket
    }

    /// Puts a component and deploys it as this function.
    pub(super) async fn deploy(&self, function: &str) -> midge_api::Deployed {
        let (request, bytes) = deploy_request();
        let (namespace, function) = (NamespaceName::default(), function.parse().unwrap());
        self.client
            .put_component(&namespace, &request.digest, Upload::bytes(bytes))
            .await
            .unwrap();
        let options = midge_api::WriteOptions::default();
        self.client
            .deploy(&namespace, &function, &request, &options)
            .await
            .unwrap()
    }
}

/// A deploy of an example, and the example's bytes.
pub(super) fn deploy_request() -> (DeployRequest, Bytes) {
    let bytes: Bytes = std::fs::read(midge_testkit::example("hello-rust.wasm"))
        .unwrap()
        .into();
    let request = DeployRequest {
        digest: Digest::of(&bytes),
        routes: Vec::new(),
        limits: midge_model::LimitsPatch::default(),
        isolation: midge_model::Isolation::Fresh,
        grants: Grants::default(),
        keep: None,
        message: None,
        widen: false,
    };
    (request, bytes)
}

pub(super) fn client(url: &str, token: Option<&str>) -> Client {
    Client::new(ClientConfig {
        url: url.to_owned(),
        token: token.map(str::to_owned),
        timeout: WAIT_MAX,
        ca_pem: None,
    })
    .unwrap()
}

/// A line of a function, at the beginning of time.
pub(super) fn line(function: &str, text: &str) -> LogLine {
    LogLine {
        at: Timestamp::from_ms(0),
        namespace: NamespaceName::default(),
        function: function.parse().unwrap(),
        revision: RevisionNumber::new(1),
        request_id: Some("abc".to_owned()),
        stream: "stdout".to_owned(),
        line: text.to_owned(),
    }
}

fn control(dir: &Path, node: Arc<TestNode>, auth: Auth) -> Control {
    let store = Embedded::open(&dir.join("store")).unwrap();
    let vault = Vault::open(&dir.join("vault.key"), None).unwrap();
    Control::new(ControlParts {
        store,
        vault: Arc::new(Mutex::new(vault)),
        node,
        policy: Policy::serve_default(),
        config: ControlConfig {
            domain: "localhost".to_owned(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            data_root: dir.join("data"),
            component_bytes_max: COMPONENT_BYTES_MAX,
            auth,
        },
    })
}

/// An answer without what is another each time.
fn shown(answer: &str) -> String {
    let mut shown = String::new();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    for line in head.lines() {
        let name = line.split(':').next().unwrap_or_default();
        if !["date", "x-request-id", "content-length", "connection"].contains(&name) {
            shown.push_str(line);
            shown.push('\n');
        }
    }
    let body = match body.split_once("\"request_id\":\"") {
        None => body.to_owned(),
        Some((before, rest)) => {
            let (_, after) = rest.split_once('"').unwrap();
            format!("{before}\"request_id\":\"…\"{after}")
        }
    };
    format!("{shown}\n{body}").trim_end().to_owned()
}

#[async_trait]
impl Node for TestNode {
    async fn compile(
        &self,
        _: &NamespaceName,
        _: &FunctionName,
        _: &Digest,
    ) -> Result<CompileReport, CompileFault> {
        Ok(CompileReport {
            took: Duration::from_millis(7),
            cached: false,
        })
    }

    async fn serves(
        &self,
        _: &NamespaceName,
        _: &FunctionName,
        _: Version,
    ) -> Result<(), NotServed> {
        let _permit = self.held.acquire().await.unwrap();
        Ok(())
    }

    async fn invoke(&self, asked: Invoke) -> Result<http::Response<Body>, InvokeFault> {
        let (parts, body) = asked.request.into_parts();
        *self.asked.lock().unwrap() = Some((parts, asked.revision));
        let mut response = http::Response::new(body);
        *response.status_mut() = http::StatusCode::ACCEPTED;
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert("x-midge-timing", HeaderValue::from_static("a lie"));
        headers.insert("connection", HeaderValue::from_static("x-hop"));
        headers.insert("x-own", HeaderValue::from_static("mine"));
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        Ok(response)
    }

    fn logs(&self, _: &NamespaceName, function: &FunctionName) -> LogFeed {
        LogFeed {
            recent: (1..=3)
                .map(|number| line(function.as_str(), &format!("old {number}")))
                .collect(),
            follow: self.lines.subscribe(),
        }
    }

    fn invocations(&self, _: &NamespaceName, _: &FunctionName) -> InvocationSummary {
        InvocationSummary {
            since: Timestamp::from_ms(0),
            count: 3,
            by_outcome: [("responded".to_owned(), 3)].into(),
            p50_ms: Some(0.5),
            p90_ms: Some(1.5),
            p99_ms: None,
            cpu_ms: 2,
        }
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            version: "0.1.0".to_owned(),
            started_at: Timestamp::from_ms(0),
            ready: self.ready(),
            draining: false,
            workers: vec![WorkerStatus {
                worker: 0,
                pid: 1,
                ready: true,
                applied: 7,
                loaded: 0,
                evicted: 0,
            }],
            functions: 0,
            memory_bytes: 1,
            registry_version: 7,
            log_lines_dropped: 0,
        }
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}
