//! The operations that administer: who, namespaces, functions, secrets, tokens, audit.
//!
//! One method each, called like the operation's id in the OpenAPI document.
//!
//! # Errors
//!
//! All give [`ClientError`]: `Problem` is the node's own word, everything else is the way to it.

use http::{Method, StatusCode};
use midge_model::{
    Digest, FunctionName, NamespaceName, Quota, QuotaPatch, RevisionNumber, Traffic,
};
use serde::de::DeserializeOwned;

use super::{AuditQuery, Client, ClientError, PageRequest, WriteOptions};
use crate::{
    AuditEntry, DeployPlan, DeployRequest, Deployed, FunctionInfo, KeyRotated, LIMIT_MAX,
    NamespaceInfo, NamespaceRequest, NodeStatus, Page, RevisionInfo, RollbackRequest, SecretInfo,
    SecretValue, TokenCreated, TokenInfo, TokenRequest, WhoAmI,
};

type Answer<T> = Result<T, ClientError>;

#[expect(
    clippy::missing_errors_doc,
    reason = "the module's doc says it once for all"
)]
impl Client {
    /// Who the node takes this client for.
    pub async fn whoami(&self) -> Answer<WhoAmI> {
        self.get("/v1/whoami").await
    }

    /// How the node is.
    pub async fn node_status(&self) -> Answer<NodeStatus> {
        self.get("/v1/node").await
    }

    /// Part of the namespaces, by name.
    pub async fn list_namespaces(&self, page: &PageRequest) -> Answer<Page<NamespaceInfo>> {
        self.list("/v1/namespaces", page).await
    }

    /// All namespaces, by name.
    pub async fn all_namespaces(&self) -> Answer<Vec<NamespaceInfo>> {
        self.all("/v1/namespaces").await
    }

    /// Makes a namespace.
    pub async fn create_namespace(
        &self,
        namespace: &NamespaceRequest,
        options: &WriteOptions,
    ) -> Answer<NamespaceInfo> {
        self.write((Method::POST, "/v1/namespaces"), namespace, options)
            .await
    }

    /// One namespace.
    pub async fn get_namespace(&self, namespace: &NamespaceName) -> Answer<NamespaceInfo> {
        self.get(&of(namespace, "")).await
    }

    /// Removes a namespace that is empty.
    pub async fn delete_namespace(
        &self,
        namespace: &NamespaceName,
        options: &WriteOptions,
    ) -> Answer<()> {
        self.remove(&of(namespace, ""), options).await
    }

    /// What a namespace may use.
    pub async fn get_quota(&self, namespace: &NamespaceName) -> Answer<Quota> {
        self.get(&of(namespace, "/quota")).await
    }

    /// Sets what a namespace may use; what is not named stays.
    pub async fn set_quota(
        &self,
        namespace: &NamespaceName,
        quota: &QuotaPatch,
        options: &WriteOptions,
    ) -> Answer<Quota> {
        self.write((Method::PUT, &of(namespace, "/quota")), quota, options)
            .await
    }

    /// Part of a namespace's functions, by name.
    pub async fn list_functions(
        &self,
        namespace: &NamespaceName,
        page: &PageRequest,
    ) -> Answer<Page<FunctionInfo>> {
        self.list(&of(namespace, "/functions"), page).await
    }

    /// All of a namespace's functions, by name.
    pub async fn all_functions(&self, namespace: &NamespaceName) -> Answer<Vec<FunctionInfo>> {
        self.all(&of(namespace, "/functions")).await
    }

    /// One function.
    pub async fn get_function(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Answer<FunctionInfo> {
        self.get(&at(namespace, function, "")).await
    }

    /// Removes a function with all its revisions.
    pub async fn remove_function(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        options: &WriteOptions,
    ) -> Answer<()> {
        self.remove(&at(namespace, function, ""), options).await
    }

    /// Whether the namespace has this component, so that it need not be put.
    pub async fn has_component(&self, namespace: &NamespaceName, digest: &Digest) -> Answer<bool> {
        let path = of(namespace, &format!("/components/{digest}"));
        let request = self.request(Method::HEAD, &path).timeout(self.timeout);
        let response = self.send_any(request).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.refused(response).await),
        }
    }

    /// What a deploy would change, and what would be refused.
    pub async fn plan(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        deploy: &DeployRequest,
    ) -> Answer<DeployPlan> {
        let path = at(namespace, function, "/plan");
        self.write((Method::POST, &path), deploy, &WriteOptions::default())
            .await
    }

    /// Makes a revision and gives it all traffic. Answers when every worker serves it.
    pub async fn deploy(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        deploy: &DeployRequest,
        options: &WriteOptions,
    ) -> Answer<Deployed> {
        let path = at(namespace, function, "/revisions");
        // The node compiles within its own budget, which may be longer than other answers take.
        let request = options.onto(self.request(Method::POST, &path)).json(deploy);
        let response = self.send(request).await?;
        self.read(response).await
    }

    /// A function's revisions, newest first: as many as are kept, so always one page.
    pub async fn list_revisions(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Answer<Page<RevisionInfo>> {
        self.get(&at(namespace, function, "/revisions")).await
    }

    /// The same, without the page around it.
    pub async fn all_revisions(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Answer<Vec<RevisionInfo>> {
        let page = self.list_revisions(namespace, function).await?;
        Ok(page.items)
    }

    /// One revision.
    pub async fn get_revision(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        revision: RevisionNumber,
    ) -> Answer<RevisionInfo> {
        let path = at(namespace, function, &format!("/revisions/{revision}"));
        self.get(&path).await
    }

    /// Splits a function's traffic over its revisions.
    pub async fn set_traffic(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        traffic: &Traffic,
        options: &WriteOptions,
    ) -> Answer<FunctionInfo> {
        let path = at(namespace, function, "/traffic");
        self.write((Method::PUT, &path), traffic, options).await
    }

    /// Gives all traffic to an earlier revision, or undoes the last change of it.
    pub async fn rollback(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        rollback: &RollbackRequest,
        options: &WriteOptions,
    ) -> Answer<FunctionInfo> {
        let path = at(namespace, function, "/rollback");
        self.write((Method::POST, &path), rollback, options).await
    }

    /// Part of a namespace's secrets, by name, without their values.
    pub async fn list_secrets(
        &self,
        namespace: &NamespaceName,
        page: &PageRequest,
    ) -> Answer<Page<SecretInfo>> {
        self.list(&of(namespace, "/secrets"), page).await
    }

    /// All of a namespace's secrets, by name, without their values.
    pub async fn all_secrets(&self, namespace: &NamespaceName) -> Answer<Vec<SecretInfo>> {
        self.all(&of(namespace, "/secrets")).await
    }

    /// Sets a secret.
    pub async fn put_secret(
        &self,
        namespace: &NamespaceName,
        name: &str,
        value: &SecretValue,
        options: &WriteOptions,
    ) -> Answer<SecretInfo> {
        let path = of(namespace, &format!("/secrets/{}", segment(name)));
        self.write((Method::PUT, &path), value, options).await
    }

    /// Deletes a secret.
    pub async fn delete_secret(
        &self,
        namespace: &NamespaceName,
        name: &str,
        options: &WriteOptions,
    ) -> Answer<()> {
        let path = of(namespace, &format!("/secrets/{}", segment(name)));
        self.remove(&path, options).await
    }

    /// Makes a new key for secrets and seals all of them with it.
    pub async fn rotate_key(&self, options: &WriteOptions) -> Answer<KeyRotated> {
        let request = self.request(Method::POST, "/v1/secrets/rotate-key");
        self.ask(options.onto(request)).await
    }

    /// Part of the tokens that this one may see.
    pub async fn list_tokens(&self, page: &PageRequest) -> Answer<Page<TokenInfo>> {
        self.list("/v1/tokens", page).await
    }

    /// All tokens that this one may see.
    pub async fn all_tokens(&self) -> Answer<Vec<TokenInfo>> {
        self.all("/v1/tokens").await
    }

    /// Makes a token. Its text is in this answer only.
    pub async fn create_token(
        &self,
        token: &TokenRequest,
        options: &WriteOptions,
    ) -> Answer<TokenCreated> {
        self.write((Method::POST, "/v1/tokens"), token, options)
            .await
    }

    /// One token.
    pub async fn get_token(&self, id: &str) -> Answer<TokenInfo> {
        self.get(&format!("/v1/tokens/{}", segment(id))).await
    }

    /// Revokes a token, from the next request on.
    pub async fn revoke_token(&self, id: &str, options: &WriteOptions) -> Answer<()> {
        let path = format!("/v1/tokens/{}", segment(id));
        self.remove(&path, options).await
    }

    /// Part of the audit log, newest first.
    pub async fn list_audit(&self, query: &AuditQuery) -> Answer<Page<AuditEntry>> {
        let mut request = self.request(Method::GET, "/v1/audit");
        if let Some(namespace) = &query.namespace {
            request = request.query(&[("namespace", namespace.as_str())]);
        }
        self.ask(request.query(&query.page.pairs())).await
    }

    /// Every part of a list, one after the other.
    pub(super) async fn all<T: DeserializeOwned>(&self, path: &str) -> Answer<Vec<T>> {
        let mut items = Vec::new();
        let mut next = PageRequest {
            cursor: None,
            limit: Some(LIMIT_MAX),
        };
        loop {
            let page: Page<T> = self.list(path, &next).await?;
            items.extend(page.items);
            match page.next {
                None => return Ok(items),
                // A node that says so forever would keep us forever.
                same if same == next.cursor => {
                    return Err(self.odd("its list does not go on".to_owned()));
                }
                cursor => next.cursor = cursor,
            }
        }
    }
}

pub(super) fn of(namespace: &NamespaceName, rest: &str) -> String {
    format!("/v1/namespaces/{namespace}{rest}")
}

pub(super) fn at(namespace: &NamespaceName, function: &FunctionName, rest: &str) -> String {
    format!("/v1/namespaces/{namespace}/functions/{function}{rest}")
}

/// Text that a person wrote, as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}
