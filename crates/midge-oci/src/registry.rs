//! A repository of a registry: artifacts are fetched from it and pushed to it.
//!
//! The five requests of the OCI distribution specification that this takes, over `reqwest`. The
//! crate that others use for it reads manifests, errors and tokens without a bound, and panics at
//! a location that is no address (docs/decisions/0039).
//!
//! **Invariant:** what is fetched by digest has that digest; what is pushed is found under the
//! digest that was computed here.

use bytes::Bytes;
use midge_model::{Digest, OciPlace};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use reqwest::{Method, Request, Response, StatusCode, Url};

use crate::artifact::{Artifact, ArtifactError, DOCUMENT_BYTES_MAX, MANIFEST_MEDIA_TYPE, Manifest};
use crate::login::{self, Challenge, Credentials};
use crate::server::{Bounds, NO_REGISTRY, Server, ServerError, authority};

/// The registry that calls itself by another name than its server's.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// The header in which a registry says which digest it computed.
const DIGEST_HEADER: &str = "docker-content-digest";

/// A repository of a registry.
#[derive(Debug)]
pub struct Registry {
    server: Server,
    /// `…/v2/NAME/`.
    base: Url,
    repository: String,
    credentials: Option<Credentials>,
    /// What the registry was shown last.
    authorization: Option<HeaderValue>,
}

/// Why an artifact was not fetched or not pushed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry, or the way to it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Other bytes than those that were asked for.
    #[error("the {what} has the digest {found}, and {wanted} was asked for")]
    Digest {
        /// Manifest or component.
        what: &'static str,
        /// What came.
        found: Digest,
        /// What was meant.
        wanted: Digest,
    },
    /// Something else than a component.
    #[error("{what}")]
    Artifact {
        /// What it is called there.
        what: String,
        /// Why it is none.
        source: ArtifactError,
    },
}

impl RegistryError {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Server(error) => error.hint(),
            Self::Digest { .. } => {
                Some("somebody changed it on its way, or in the registry: do not use it".to_owned())
            }
            Self::Artifact { source, .. } => match source {
                ArtifactError::NotAManifest { .. } | ArtifactError::SchemaVersion { .. } => {
                    Some(NO_REGISTRY.to_owned())
                }
                ArtifactError::Index { .. } => {
                    Some("name one of its manifests by its digest".to_owned())
                }
                ArtifactError::TooLarge { .. } => None,
                ArtifactError::Config { .. }
                | ArtifactError::Layers { .. }
                | ArtifactError::Layer { .. } => Some(
                    "name a component, as `midge push` and `wkg oci push` make them; images of \
                     containers are none"
                        .to_owned(),
                ),
            },
        }
    }
}

/// Which artifact of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The one with this digest, and nothing else.
    Digest(Digest),
    /// Whatever has this tag now.
    Tag(&'a str),
}

/// What is to be done with a repository.
#[derive(Debug, Clone, Copy)]
enum Scope {
    Pull,
    Push,
}

impl Registry {
    /// The repository of this place. Nothing is sent yet.
    ///
    /// Registries on this machine are spoken to without TLS, as Docker does; others only if
    /// `plain_http` says so.
    ///
    /// # Errors
    ///
    /// This machine's certificates cannot be read.
    pub fn new(
        place: &OciPlace,
        credentials: Option<Credentials>,
        plain_http: bool,
        bounds: Bounds,
    ) -> Result<Self, ServerError> {
        let name = place.registry().to_string();
        let is_loopback = place.registry().is_loopback();
        let is_plain = plain_http || is_loopback;
        let scheme = if is_plain { "http" } else { "https" };
        let host = match name.as_str() {
            host if host == DOCKER_HUB.0 => DOCKER_HUB.1,
            host => host,
        };
        let repository = place.repository().to_owned();
        let server = Server::new(name.clone(), (is_plain, is_loopback), bounds)?;
        let base = Url::parse(&format!("{scheme}://{host}/v2/{repository}/"));
        Ok(Self {
            base: base.expect("hosts and repositories are letters that addresses may have"),
            server,
            repository,
            credentials,
            authorization: None,
        })
    }

    /// The manifest of an artifact, as it is and as it was read.
    ///
    /// # Errors
    ///
    /// There is none, it has another digest, or it is not that of a component.
    pub async fn manifest(
        &mut self,
        wanted: Wanted<'_>,
    ) -> Result<(Bytes, Manifest), RegistryError> {
        let (name, what) = match wanted {
            Wanted::Digest(digest) => (
                digest.to_string(),
                format!("manifest {}@{digest}", self.repository),
            ),
            Wanted::Tag(tag) => (
                tag.to_owned(),
                format!("manifest {}:{tag}", self.repository),
            ),
        };
        let mut request = Request::new(Method::GET, self.url(&format!("manifests/{name}")));
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(MANIFEST_MEDIA_TYPE));
        let response = self.read(&request, &what).await?;
        let bytes = self.server.body(response, &what, DOCUMENT_BYTES_MAX);
        let bytes = bytes.await?;
        if let Wanted::Digest(wanted) = wanted {
            check("manifest", &bytes, wanted)?;
        }
        let component_bytes_max = self.server.bounds.component_bytes_max;
        let manifest = Manifest::parse(&bytes, component_bytes_max)
            .map_err(|source| RegistryError::Artifact { what, source })?;
        Ok((bytes.into(), manifest))
    }

    /// The component that a manifest names.
    ///
    /// # Errors
    ///
    /// There is none, or it has another digest.
    pub async fn component(&mut self, manifest: &Manifest) -> Result<Vec<u8>, RegistryError> {
        const WHAT: &str = "the component";
        let url = self.url(&format!("blobs/{}", manifest.component));
        let request = Request::new(Method::GET, url);
        let response = self.read(&request, WHAT).await?;
        let body = self.server.body(response, WHAT, manifest.component_bytes);
        let bytes = body.await?;
        check("component", &bytes, manifest.component)?;
        Ok(bytes)
    }

    /// Puts an artifact into the repository under a tag. What is there already is not sent again.
    ///
    /// # Errors
    ///
    /// The registry does not take it. What it took is named by nothing then, and removed by it.
    pub async fn push(&mut self, artifact: &Artifact, tag: &str) -> Result<Digest, RegistryError> {
        self.push_blob("the component", &artifact.component).await?;
        self.push_blob("the config", &artifact.config).await?;
        let what = format!("manifest {}:{tag}", self.repository);
        let url = self.url(&format!("manifests/{tag}"));
        let mut request = upload(Method::PUT, url, artifact.manifest.clone());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MANIFEST_MEDIA_TYPE));
        let response = self.send(&request, &what).await?;
        let response = self.expect(response, StatusCode::CREATED, &what).await?;
        let digest = artifact.digest();
        let told = response.headers().get(DIGEST_HEADER);
        let told = told.and_then(|value| value.to_str().ok()?.parse::<Digest>().ok());
        match told {
            Some(found) if found != digest => Err(RegistryError::Digest {
                what: "manifest that was pushed",
                found,
                wanted: digest,
            }),
            _ => Ok(digest),
        }
    }

    async fn push_blob(&mut self, what: &str, blob: &Bytes) -> Result<(), RegistryError> {
        let digest = Digest::of(blob);
        let request = Request::new(Method::HEAD, self.url(&format!("blobs/{digest}")));
        let response = self.send(&request, what).await?;
        match response.status() {
            StatusCode::OK => return Ok(()),
            StatusCode::NOT_FOUND => {}
            _ => return Err(self.server.refusal(response, what).await.into()),
        }
        let begin = upload(Method::POST, self.url("blobs/uploads/"), Bytes::new());
        let response = self.send(&begin, what).await?;
        let response = self.expect(response, StatusCode::ACCEPTED, what).await?;
        let mut url = self.location(response.headers(), what)?;
        let digest = digest.to_string();
        url.query_pairs_mut().append_pair("digest", &digest);
        let put = upload(Method::PUT, url, blob.clone());
        let response = self.send(&put, what).await?;
        self.expect(response, StatusCode::CREATED, what).await?;
        Ok(())
    }

    /// Where the registry wants the bytes.
    fn location(&self, headers: &HeaderMap, what: &str) -> Result<Url, ServerError> {
        let text = headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| {
                self.server
                    .protocol(what, "it does not say where to send it")
            })?;
        match self.base.join(text) {
            Ok(url) if self.server.may_ask(&url) => Ok(url),
            _ => Err(self
                .server
                .protocol(what, "it does not say where to send it")),
        }
    }

    async fn expect(
        &self,
        response: Response,
        status: StatusCode,
        what: &str,
    ) -> Result<Response, ServerError> {
        if response.status() == status {
            return Ok(response);
        }
        Err(self.server.refusal(response, what).await)
    }

    /// A request that fetches something.
    async fn read(&mut self, request: &Request, what: &str) -> Result<Response, ServerError> {
        let first = self.server.read(self.with_login(request), what).await?;
        let response = match self.log_in(&first, Scope::Pull, what).await? {
            true => self.server.read(self.with_login(request), what).await?,
            false => first,
        };
        self.check_login(&response, what)?;
        self.expect(response, StatusCode::OK, what).await
    }

    /// A request that belongs to a push.
    async fn send(&mut self, request: &Request, what: &str) -> Result<Response, ServerError> {
        let first = self.server.send(self.with_login(request), what).await?;
        let response = match self.log_in(&first, Scope::Push, what).await? {
            true => self.server.send(self.with_login(request), what).await?,
            false => first,
        };
        self.check_login(&response, what)?;
        Ok(response)
    }

    /// Gets what the registry wants to see, if it wants to see something.
    async fn log_in(
        &mut self,
        response: &Response,
        scope: Scope,
        what: &str,
    ) -> Result<bool, ServerError> {
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(false);
        }
        // The login is for the registry, and its answer names the realm that gets it. Where it
        // leads elsewhere, that server has no say in this.
        if !self.is_registry(response.url()) {
            let other = authority(response.url());
            let why = format!("it leads to {other}, which wants a login of its own");
            return Err(self.server.protocol(what, why));
        }
        let Some(challenge) = Challenge::of(response.headers()) else {
            let why = "it wants a login, and does not say which";
            return Err(self.server.protocol(what, why));
        };
        let actions = match scope {
            Scope::Pull => "pull",
            Scope::Push => "pull,push",
        };
        let scope = format!("repository:{}:{actions}", self.repository);
        let answer = login::answer(&self.server, challenge, self.credentials.as_ref(), &scope);
        self.authorization = Some(answer.await?);
        Ok(true)
    }

    /// A registry that asks again did not like what it got.
    fn check_login(&self, response: &Response, what: &str) -> Result<(), ServerError> {
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(ServerError::Unauthorized {
                server: self.server.name.clone(),
                what: what.to_owned(),
                with_credentials: self.credentials.is_some(),
            }),
            _ => Ok(()),
        }
    }

    /// The request with what the registry was shown before. Another server, to which a registry
    /// may send uploads, is not shown it.
    fn with_login(&self, request: &Request) -> Request {
        let mut request = request.try_clone().expect("bodies are bytes here");
        let is_registry = self.is_registry(request.url());
        if let Some(value) = self.authorization.clone().filter(|_| is_registry) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        request
    }

    fn is_registry(&self, url: &Url) -> bool {
        authority(url) == authority(&self.base) && url.scheme() == self.base.scheme()
    }

    fn url(&self, rest: &str) -> Url {
        let url = self.base.join(&format!("./{rest}"));
        url.expect("digests and tags are letters that addresses may have")
    }
}

fn upload(method: Method, url: Url, body: Bytes) -> Request {
    let mut request = Request::new(method, url);
    let headers = request.headers_mut();
    // Said even where it is 0: some registries want it.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    *request.body_mut() = Some(body.into());
    request
}

fn check(what: &'static str, bytes: &[u8], wanted: Digest) -> Result<(), RegistryError> {
    match Digest::of(bytes) {
        found if found == wanted => Ok(()),
        found => Err(RegistryError::Digest {
            what,
            found,
            wanted,
        }),
    }
}
