//! The request that is sent again and again, and which function it is for.
//!
//! Fills in what was not typed: the path that the function's first route answers, its method, its
//! host. Reading the manifest is `functions.rs`, matching is midge-model.
//!
//! **Invariant:** the request leads to the function that was meant, and to no other's.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use midge_model::{FunctionName, Resolved, Route, RouteTable};

use crate::cmd::fault::Hint;
use crate::components::Component;
use crate::config::{BenchFunctions, BenchRequest};
use crate::functions::{self, FunctionsError, Written};

/// The largest body that is sent; each connection sends it from the same memory.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A request, ready to be sent many times.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    request: Request<Full<Bytes>>,
    /// How long its body is.
    pub(super) body_bytes: u64,
}

/// A function that was found, with the request for it.
#[derive(Debug)]
pub(super) struct Found {
    /// What it is called.
    pub(super) name: FunctionName,
    /// Where its component is.
    pub(super) component: Component,
    /// Which requests it answers.
    pub(super) routes: Vec<Route>,
    /// The request.
    pub(super) ask: Ask,
}

/// Why there is nothing to ask.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// The manifest.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// Not the name of any function there.
    #[error("`{}` has no function {name}", path.display())]
    NoFunction {
        path: PathBuf,
        name: FunctionName,
        nearest: Option<String>,
    },
    /// Which of them?
    #[error("`{}` has {count} functions, and one is measured at a time", path.display())]
    Several {
        path: PathBuf,
        count: usize,
        first: FunctionName,
    },
    /// The route does not say what to ask for.
    #[error("function {function} answers at `{route}`, which is more than one path")]
    ManyPaths {
        function: FunctionName,
        route: Route,
    },
    /// Somebody else's path.
    #[error("`{asked}` is answered by {}", answers(.other.as_ref()))]
    Elsewhere {
        asked: String,
        other: Option<FunctionName>,
        route: Option<Route>,
    },
    /// Two routes that match the same.
    #[error("the routes of the manifest collide")]
    Routes {
        #[source]
        source: Box<midge_model::RouteConflict>,
    },
    /// The body.
    #[error("read body from `{}`", path.display())]
    Body { path: PathBuf, source: io::Error },
    /// Larger than what is sent.
    #[error("body is larger than 64MiB, the most that is sent")]
    BodyTooLarge,
    /// Not a request.
    #[error("make the request")]
    Request(#[source] http::Error),
}

fn answers(other: Option<&FunctionName>) -> String {
    other.map_or("no function".to_owned(), |other| {
        format!("function {other}")
    })
}

impl Hint for AskError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Functions(error) => error.hint_for("bench"),
            Self::NoFunction { nearest, .. } => nearest
                .as_ref()
                .map(|nearest| format!("--function {nearest}")),
            Self::Several { first, .. } => Some(format!("--function {first}")),
            Self::ManyPaths { .. } => Some("say which with --path".to_owned()),
            Self::Elsewhere { route, .. } => route
                .as_ref()
                .map(|route| format!("it answers at `{route}`: see --path and --method")),
            Self::Routes { .. } | Self::Body { .. } | Self::BodyTooLarge | Self::Request(_) => None,
        }
    }
}

impl Ask {
    /// The request for something that runs already.
    ///
    /// # Errors
    ///
    /// The body cannot be read, or what was typed is no request.
    pub(super) fn running(
        typed: &BenchRequest,
        (authority, path): (&str, &str),
    ) -> Result<Self, AskError> {
        let path = typed.path.as_deref().unwrap_or(path);
        Self::new(typed, (None, authority, path))
    }

    fn new(
        typed: &BenchRequest,
        (method, host, path): (Option<&Method>, &str, &str),
    ) -> Result<Self, AskError> {
        let body = body(typed.body.as_deref())?;
        let body_bytes = body.len() as u64;
        let usual = || {
            if typed.body.is_some() {
                Method::POST
            } else {
                Method::GET
            }
        };
        let method = typed.method.as_ref().or(method).cloned();
        let request = Request::builder()
            .method(method.unwrap_or_else(usual))
            .uri(path)
            .header(header::HOST, host);
        let mut request = request.body(Full::new(body)).map_err(AskError::Request)?;
        put(request.headers_mut(), typed);
        Ok(Self {
            request,
            body_bytes,
        })
    }

    /// The request, once more.
    pub(super) fn request(&self) -> Request<Full<Bytes>> {
        self.request.clone()
    }

    /// The same for another host.
    pub(super) fn with_host(&self, host: &str) -> Result<Self, AskError> {
        let mut other = self.clone();
        let host = HeaderValue::try_from(host).map_err(|error| AskError::Request(error.into()))?;
        other.request.headers_mut().insert(header::HOST, host);
        Ok(other)
    }

    /// The method and the path, for people.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.request.method(), self.request.uri())
    }
}

/// A field that was typed goes in place of ours, and several of one name stay several.
fn put(headers: &mut HeaderMap, typed: &BenchRequest) {
    for (name, _) in &typed.headers {
        headers.remove(name);
    }
    for (name, value) in &typed.headers {
        headers.append(name.clone(), value.clone());
    }
}

/// The function that was meant, with the request for it.
///
/// # Errors
///
/// It is not clear which one, or how to ask it.
pub(super) fn find(functions: &BenchFunctions, typed: &BenchRequest) -> Result<Found, AskError> {
    let path = &functions.path;
    let mut written = functions::source(path)?.functions;
    for function in written
        .iter_mut()
        .filter(|function| function.routes.is_empty())
    {
        // A file by itself is the whole site.
        function.routes = vec!["/*".parse().expect("`/*` is a route")];
    }
    let meant = choose(&written, path, functions.function.as_ref())?;
    let first = meant.routes.first();
    let request_path = match (&typed.path, first) {
        (Some(path), _) => path.clone(),
        (None, Some(route)) => path_of(route).ok_or_else(|| AskError::ManyPaths {
            function: meant.name.clone(),
            route: route.clone(),
        })?,
        (None, None) => "/".to_owned(),
    };
    let host = first.and_then(Route::host).unwrap_or("localhost");
    let ask = Ask::new(typed, (first.and_then(Route::method), host, &request_path))?;
    check(&ask, meant, &written)?;
    Ok(Found {
        name: meant.name.clone(),
        component: meant.component.clone(),
        routes: meant.routes.clone(),
        ask,
    })
}

fn choose<'a>(
    written: &'a [Written],
    path: &Path,
    name: Option<&FunctionName>,
) -> Result<&'a Written, AskError> {
    if let Some(name) = name {
        let found = written.iter().find(|function| function.name == *name);
        return found.ok_or_else(|| {
            let names = written.iter().map(|function| function.name.as_str());
            AskError::NoFunction {
                path: path.to_owned(),
                name: name.clone(),
                nearest: midge_model::suggest::nearest(name.as_str(), names).map(str::to_owned),
            }
        });
    }
    let first = written.first().expect("a manifest has a function");
    if written.len() > 1 {
        return Err(AskError::Several {
            path: path.to_owned(),
            count: written.len(),
            first: first.name.clone(),
        });
    }
    Ok(first)
}

/// The path that a route certainly answers; `None` if it takes a parameter.
fn path_of(route: &Route) -> Option<String> {
    let path = route.path();
    let literal = match path.rsplit_once('/') {
        Some((before, last)) if last == "*" || last.starts_with("{*") => format!("{before}/"),
        _ => path.to_owned(),
    };
    (!literal.contains('{')).then_some(literal)
}

/// That the request leads where it should.
fn check(ask: &Ask, meant: &Written, all: &[Written]) -> Result<(), AskError> {
    let entries = all.iter().flat_map(|function| {
        let name = function.name.clone();
        let routes = function.routes.iter().cloned();
        routes.map(move |route| (route, name.clone()))
    });
    let table = RouteTable::new(entries.collect()).map_err(|source| AskError::Routes {
        source: Box::new(source),
    })?;
    let host = ask.request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let uri: &Uri = ask.request.uri();
    let other = match table.resolve(host, ask.request.method(), uri.path()) {
        Resolved::Found { target, .. } if *target == meant.name => return Ok(()),
        Resolved::Found { target, .. } => Some(target.clone()),
        Resolved::MethodNotAllowed { .. } | Resolved::NoRoute => None,
    };
    Err(AskError::Elsewhere {
        asked: ask.line(),
        other,
        route: meant.routes.first().cloned(),
    })
}

fn body(typed: Option<&str>) -> Result<Bytes, AskError> {
    let Some(typed) = typed else {
        return Ok(Bytes::new());
    };
    let Some(path) = typed.strip_prefix('@') else {
        return Ok(Bytes::copy_from_slice(typed.as_bytes()));
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let mut file = file.take(BODY_BYTES_MAX + 1);
        file.read_to_end(&mut bytes)
    });
    read.map_err(|source| AskError::Body {
        path: path.into(),
        source,
    })?;
    if bytes.len() as u64 > BODY_BYTES_MAX {
        return Err(AskError::BodyTooLarge);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    const MANIFEST: &str = r#"
        [function.order]
        component = "order.wasm"
        routes = ["POST shop.example.net/orders", "GET shop.example.net/orders/{id}"]
        [function.page]
        component = "page.wasm"
        routes = ["/pages/*"]
        [function.item]
        component = "item.wasm"
        routes = ["/items/{id}"]
    "#;

    fn check(function: Option<&str>, path: Option<&str>, method: Option<Method>) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("midge.toml"), MANIFEST).unwrap();
        let functions = BenchFunctions {
            path: folder.path().to_owned(),
            function: function.map(|name| name.parse().unwrap()),
            words: Vec::new(),
            secrets: Vec::new(),
        };
        let typed = BenchRequest {
            path: path.map(str::to_owned),
            method,
            headers: Vec::new(),
            body: None,
        };
        let text = match find(&functions, &typed) {
            Ok(found) => {
                let host = &found.ask.request.headers()[header::HOST];
                format!("{} at {}", found.ask.line(), host.to_str().unwrap())
            }
            Err(error) => format!("{error} ({})", error.hint().unwrap_or_default()),
        };
        text.replace(&*folder.path().to_string_lossy(), "FOLDER")
    }

    #[test]
    fn what_was_not_typed_comes_from_the_route() {
        assert_snapshot!(check(Some("order"), None, None), @"POST /orders at shop.example.net");
        assert_snapshot!(check(Some("page"), None, None), @"GET /pages/ at localhost");
        assert_snapshot!(check(Some("page"), Some("/pages/a?b=c"), Some(Method::PUT)), @"PUT /pages/a?b=c at localhost");
        assert_snapshot!(check(Some("item"), Some("/items/7"), None), @"GET /items/7 at localhost");
    }

    #[test]
    fn what_would_ask_nobody_or_another_is_refused() {
        assert_snapshot!(check(None, None, None), @"`FOLDER` has 3 functions, and one is measured at a time (--function item)");
        assert_snapshot!(check(Some("pages"), None, None), @"`FOLDER` has no function pages (--function page)");
        assert_snapshot!(check(Some("item"), None, None), @"function item answers at `/items/{id}`, which is more than one path (say which with --path)");
        assert_snapshot!(check(Some("item"), Some("/pages/"), None), @"`GET /pages/` is answered by function page (it answers at `/items/{id}`: see --path and --method)");
        assert_snapshot!(check(Some("page"), Some("/"), None), @"`GET /` is answered by no function (it answers at `/pages/*`: see --path and --method)");
        assert_snapshot!(check(Some("order"), None, Some(Method::PUT)), @"`PUT /orders` is answered by no function (it answers at `POST shop.example.net/orders`: see --path and --method)");
    }
}
