//! A node with a store of its own, and short words for what is done to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use midge_api::{
    Client, ClientConfig, DeployRequest, Deployed, RevisionInfo, RollbackRequest, SecretValue,
    Upload, WriteOptions,
};
use midge_model::{
    Digest, FunctionName, Grants, LimitsPatch, NamespaceName, RevisionNumber, SecretText, Traffic,
};
use midge_testkit::http::{Answer, send};
use midge_testkit::{Midge, MidgeBuilder, fixture, native_code_cache};
use tempfile::TempDir;

use crate::kit::BINARY;

/// A store that outlives its nodes.
pub(super) struct Store(TempDir);

/// A running node.
pub(super) struct Node {
    pub(super) midge: Midge,
    pub(super) client: Client,
}

impl Store {
    /// An empty one, whose nodes find native code of fixtures where all tests put it.
    pub(super) fn new() -> Self {
        let store = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(native_code_cache()).unwrap();
        std::os::unix::fs::symlink(native_code_cache(), store.path().join("cache")).unwrap();
        store
    }

    /// An empty one with a cache of its own.
    pub(super) fn with_own_cache() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A node with it, of two workers.
    pub(super) fn node(&self) -> Node {
        self.start(self.serve().args(["--workers", "2"]))
    }

    /// `midge serve` with it, to add flags to.
    pub(super) fn serve(&self) -> MidgeBuilder {
        MidgeBuilder::serve(BINARY, self.path())
    }

    pub(super) fn start(&self, builder: MidgeBuilder) -> Node {
        let midge = builder.start();
        let client = self.client(&midge.control());
        Node { midge, client }
    }

    /// A node in the place of one that is gone, at the same addresses.
    pub(super) fn again(&self, gone: Midge) -> Node {
        let (listen, control) = (gone.addr().to_string(), gone.control());
        let control = control.strip_prefix("http://").unwrap();
        let builder = MidgeBuilder::serve_at(BINARY, self.path(), [&listen, control]);
        // The handle of the old one would end its workers, which are to let go by themselves.
        std::mem::forget(gone);
        self.start(builder.args(["--workers", "2"]))
    }

    pub(super) fn token(&self) -> String {
        let token = fs::read_to_string(self.path().join("admin.token")).unwrap();
        token.trim().to_owned()
    }

    pub(super) fn client(&self, url: &str) -> Client {
        Client::new(ClientConfig {
            url: url.to_owned(),
            token: Some(self.token()),
            timeout: Duration::from_secs(60),
            ca_pem: None,
        })
        .unwrap()
    }
}

pub(super) fn ns() -> NamespaceName {
    NamespaceName::default()
}

pub(super) fn name(text: &str) -> FunctionName {
    text.parse().unwrap()
}

pub(super) fn revision(number: u32) -> RevisionNumber {
    RevisionNumber::new(number).unwrap()
}

/// What to deploy of a fixture, with a variable that tells revisions apart.
pub(super) fn request(guest: &str, version: u32) -> (DeployRequest, Bytes) {
    component(&fixture(guest), version)
}

fn component(path: &PathBuf, version: u32) -> (DeployRequest, Bytes) {
    let bytes = Bytes::from(fs::read(path).unwrap());
    let grants = Grants {
        env: BTreeMap::from([("VERSION".to_owned(), format!("v{version}"))]),
        ..Grants::default()
    };
    let request = DeployRequest {
        digest: Digest::of(&bytes),
        routes: Vec::new(),
        limits: LimitsPatch::default(),
        isolation: midge_model::Isolation::Fresh,
        grants,
        keep: None,
        message: None,
        widen: true,
    };
    (request, bytes)
}

impl Node {
    /// Deploys a fixture.
    pub(super) async fn deploy(&self, function: &str, guest: &str, version: u32) -> Deployed {
        let (request, bytes) = request(guest, version);
        self.deploy_as(function, request, bytes).await
    }

    pub(super) async fn deploy_as(
        &self,
        function: &str,
        request: DeployRequest,
        bytes: Bytes,
    ) -> Deployed {
        let known = self.client.has_component(&ns(), &request.digest).await;
        if !known.unwrap() {
            let upload = Upload::bytes(bytes);
            let namespace = ns();
            let put = self
                .client
                .put_component(&namespace, &request.digest, upload);
            put.await.unwrap();
        }
        let (namespace, function) = (ns(), name(function));
        let options = WriteOptions::default();
        let deploy = self
            .client
            .deploy(&namespace, &function, &request, &options);
        deploy.await.unwrap()
    }

    pub(super) async fn roll_back(&self, function: &str) {
        let (namespace, function) = (ns(), name(function));
        let to = RollbackRequest { to: None };
        let options = WriteOptions::default();
        let rolled = self.client.rollback(&namespace, &function, &to, &options);
        rolled.await.unwrap();
    }

    pub(super) async fn split(&self, function: &str, traffic: &Traffic) {
        let (namespace, function) = (ns(), name(function));
        let options = WriteOptions::default();
        let split = self
            .client
            .set_traffic(&namespace, &function, traffic, &options);
        split.await.unwrap();
    }

    pub(super) async fn remove(&self, function: &str) {
        let (namespace, function) = (ns(), name(function));
        let options = WriteOptions::default();
        let removed = self.client.remove_function(&namespace, &function, &options);
        removed.await.unwrap();
    }

    pub(super) async fn set_secret(&self, secret: &str, value: &str) {
        let value = SecretText::new(value.to_owned()).unwrap();
        let (namespace, value) = (ns(), SecretValue { value });
        let options = WriteOptions::default();
        let put = self.client.put_secret(&namespace, secret, &value, &options);
        put.await.unwrap();
    }

    /// Asks for a path, of a host if one is named.
    pub(super) async fn get(&self, host: &str, path: &str) -> Answer {
        let request = Request::get(path).header("host", host).body(Bytes::new());
        send(self.midge.addr(), request.unwrap()).await.unwrap()
    }

    /// The version of a function that the fixture `http02-env` says it is.
    pub(super) async fn version(&self, host: &str, path: &str) -> String {
        let answer = self.get(host, path).await;
        let text = answer.text();
        let version = text.lines().find_map(|line| line.strip_prefix("VERSION="));
        version.map_or_else(|| format!("{} {text}", answer.status), str::to_owned)
    }
}

/// Which revision a deploy made.
pub(super) fn number(RevisionInfo { number, .. }: &RevisionInfo) -> u32 {
    number.get()
}
