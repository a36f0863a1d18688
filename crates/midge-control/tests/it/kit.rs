//! A control core over a store of its own, and short ways to ask it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use midge_api::{DeployRequest, Deployed, NamespaceRequest, Role, SecretValue, TokenRequest};
use midge_control::{Auth, Control, ControlConfig, ControlError, ControlParts, Upload, Who};
use midge_model::{
    Digest, FunctionName, Grants, LimitsPatch, NamespaceName, Policy, QuotaPatch, RequestId,
    RevisionNumber, SecretText,
};
use midge_store::{Embedded, Store, Vault};
use tempfile::TempDir;

use crate::flaky::{Fuse, flaky};
use crate::node::TestNode;
use crate::sound;

/// A control core and what it stands on.
pub(crate) struct Kit {
    pub(crate) control: Arc<Control>,
    pub(crate) node: Arc<TestNode>,
    /// Without the fuse.
    pub(crate) store: Store,
    pub(crate) fuse: Arc<Fuse>,
    pub(crate) vault: Arc<Mutex<Vault>>,
    dir: TempDir,
}

impl Kit {
    /// A node with the namespaces `default` and `shop`.
    pub(crate) async fn new() -> Self {
        Self::with_policy(Policy::serve_default()).await
    }

    pub(crate) async fn with_policy(policy: Policy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(&dir.path().join("store")).unwrap();
        let vault = Vault::open(&dir.path().join("secret.key"), None).unwrap();
        let vault = Arc::new(Mutex::new(vault));
        let node = Arc::new(TestNode::default());
        let fuse = Fuse::new();
        let control = Arc::new(Control::new(ControlParts {
            store: flaky(&store, &fuse),
            vault: vault.clone(),
            node: node.clone(),
            policy,
            config: config(dir.path().join("data")),
        }));
        control.prepare().await.unwrap();
        let kit = Self {
            control,
            node,
            store,
            fuse,
            vault,
            dir,
        };
        let request = NamespaceRequest {
            name: ns("shop"),
            quota: QuotaPatch::default(),
        };
        let made = kit.control.create_namespace(admin(), request).await;
        made.unwrap();
        kit
    }

    /// Another process on the same store and node, as it were: nothing in memory is shared.
    pub(crate) fn again(&self) -> Arc<Control> {
        self.again_with(Policy::serve_default())
    }

    pub(crate) fn again_with(&self, policy: Policy) -> Arc<Control> {
        Arc::new(Control::new(ControlParts {
            store: self.store.clone(),
            vault: self.vault.clone(),
            node: self.node.clone(),
            policy,
            config: config(self.dir.path().join("data")),
        }))
    }

    /// A node on which `shop` may have the hosts that tests route.
    pub(crate) async fn with_hosts() -> Self {
        let hosts = r#"["shop.example.net", "other.example.net"]"#;
        let policy = format!("[namespace.shop]\nhosts = {hosts}\n");
        Self::with_policy(Policy::parse(&policy).unwrap()).await
    }

    /// Uploads a component of this seed.
    pub(crate) async fn upload(&self, who: &Who, namespace: &str, seed: &str) -> Digest {
        let (digest, bytes) = component(seed);
        self.try_upload(who, namespace, (digest, bytes))
            .await
            .unwrap();
        digest
    }

    pub(crate) async fn try_upload(
        &self,
        who: &Who,
        namespace: &str,
        component: (Digest, Bytes),
    ) -> Result<(), ControlError> {
        let (digest, bytes) = component;
        let upload = Upload {
            length_bytes: Some(bytes.len() as u64),
            bytes: futures::stream::iter([Ok::<_, Infallible>(bytes)]),
        };
        let put = self
            .control
            .put_component(who, in_ns(namespace), &digest, upload);
        put.await.map(drop)
    }

    /// Uploads and deploys.
    pub(crate) async fn deploy(&self, target: &str, request: DeployRequest) -> Deployed {
        let deployed = self.try_deploy(admin(), target, request).await;
        deployed.unwrap()
    }

    /// Deploys `namespace/function`.
    pub(crate) async fn try_deploy(
        &self,
        who: &Who,
        target: &str,
        request: DeployRequest,
    ) -> Result<Deployed, ControlError> {
        let (namespace, function) = at(target);
        let target = (&namespace, &function);
        self.control.deploy(who, target, request, None).await
    }

    pub(crate) async fn secret(&self, namespace: &str, name: &str) {
        let value = SecretValue {
            value: SecretText::new("tr0ub4dor").unwrap(),
        };
        let put = self
            .control
            .put_secret(admin(), in_ns(namespace), name, value);
        put.await.unwrap();
    }

    /// A caller with a real token.
    pub(crate) async fn caller(&self, role: Role, namespace: Option<&str>) -> Who {
        self.caller_of(admin(), token_request(role, namespace))
            .await
    }

    /// A caller with a real token that somebody made.
    pub(crate) async fn caller_of(&self, maker: &Who, request: TokenRequest) -> Who {
        let made = self.control.create_token(maker, request).await.unwrap();
        let who = self.authenticate(Some(&made.token)).await;
        who.unwrap()
    }

    pub(crate) async fn authenticate(&self, token: Option<&str>) -> Result<Who, ControlError> {
        let request_id = RequestId::keep("test").unwrap();
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.control.authenticate(token, from, request_id).await
    }

    /// Every invariant of the store, and after a sweep nothing that is not needed.
    pub(crate) async fn check_sound(&self) {
        let problems = sound::problems(&self.store).await;
        assert!(problems.is_empty(), "{problems:#?}");
        let report = midge_store::check(&self.dir.path().join("store")).unwrap();
        assert!(report.is_sound(), "{:#?}", report.problems);
    }

    pub(crate) async fn check_tidy(&self) {
        self.control.sweep_all().await.unwrap();
        self.check_sound().await;
        let unneeded = sound::unneeded(&self.store).await;
        assert!(unneeded.is_empty(), "{unneeded:#?}");
    }
}

fn config(data_root: PathBuf) -> ControlConfig {
    ControlConfig {
        domain: "localhost".to_owned(),
        public_url: "http://node.example.net:8080".to_owned(),
        data_root,
        component_bytes_max: 1 << 20,
        auth: Auth::Tokens,
    }
}

/// Who may do everything.
pub(crate) fn admin() -> &'static Who {
    static ADMIN: LazyLock<Who> = LazyLock::new(|| Who {
        token: None,
        name: "test".to_owned(),
        role: Role::Admin,
        namespace: None,
        cap: None,
        expires_at: None,
        from: IpAddr::V4(Ipv4Addr::LOCALHOST),
        request_id: RequestId::keep("test").unwrap(),
    });
    &ADMIN
}

pub(crate) fn token_request(role: Role, namespace: Option<&str>) -> TokenRequest {
    TokenRequest {
        name: format!("{role} of the test"),
        role,
        namespace: namespace.map(ns),
        expires_in_s: None,
        policy: None,
    }
}

/// A component that runs and does nothing; another one for each seed.
pub(crate) fn component(seed: &str) -> (Digest, Bytes) {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    bytes.extend(b"\x01\x04\x01\x60\0\0"); // type 0: no parameters, no results
    bytes.extend(b"\x03\x02\x01\0"); // function 0 of type 0
    bytes.extend(b"\x07\x0a\x01\x06_start\0\0"); // export `_start`
    bytes.extend(b"\x0a\x04\x01\x02\0\x0b"); // its body: end
    let name = seed.as_bytes();
    let length = u8::try_from(name.len()).unwrap();
    bytes.extend([0, length + 1, length]); // a custom section without content
    bytes.extend(name);
    (Digest::of(&bytes), Bytes::from(bytes))
}

/// A deploy of a component, answering `/<function>/*`.
pub(crate) fn request(digest: Digest) -> DeployRequest {
    DeployRequest {
        digest,
        routes: Vec::new(),
        limits: LimitsPatch::default(),
        isolation: midge_model::Isolation::Fresh,
        grants: Grants::default(),
        keep: None,
        message: None,
        widen: false,
    }
}

/// The same with other routes.
pub(crate) fn with_routes(digest: Digest, routes: &[&str]) -> DeployRequest {
    DeployRequest {
        routes: routes.iter().map(|route| route.parse().unwrap()).collect(),
        ..request(digest)
    }
}

/// The same with one grant of requests.
pub(crate) fn with_http(digest: Digest, grant: &str) -> DeployRequest {
    DeployRequest {
        grants: Grants {
            http: vec![grant.parse().unwrap()],
            ..Grants::default()
        },
        widen: true,
        ..request(digest)
    }
}

pub(crate) fn ns(name: &str) -> NamespaceName {
    name.parse().unwrap()
}

/// The same for arguments that outlive the line; tests are few and names short.
pub(crate) fn in_ns(name: &str) -> &'static NamespaceName {
    Box::leak(Box::new(ns(name)))
}

pub(crate) fn r(number: u32) -> RevisionNumber {
    RevisionNumber::new(number).unwrap()
}

/// `shop/checkout`
pub(crate) fn at(target: &str) -> (NamespaceName, FunctionName) {
    let (namespace, function) = target.split_once('/').unwrap();
    (ns(namespace), function.parse().unwrap())
}

/// How something was refused, with what to do about it.
pub(crate) fn refusal<T>(result: Result<T, ControlError>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => {
            let hint = error.hint.map(|hint| format!(" ({hint})"));
            format!(
                "{}: {}{}",
                error.code,
                error.message,
                hint.unwrap_or_default()
            )
        }
    }
}
