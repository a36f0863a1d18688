//! What is deployed: a component's bytes, and what its manifest says about it.
//!
//! Text is assembled here, on the developer's machine, so that a node takes nothing but binaries.
//!
//! **Invariant:** nothing in a package was made up: folders to grant stand in it as they were
//! written, because what they name lies on the node.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use midge_api::DeployRequest;
use midge_model::{Digest, FunctionName, suggest};
use midge_sandbox::{Inspection, inspect, to_binary};

use crate::cmd::fault::{hinted, with_hint};
use crate::components::{COMPONENT_BYTES_MAX, Component, Fetching};
use crate::functions::{self, Written};
use crate::regular;

/// One function, ready to be sent.
#[derive(Debug)]
pub(crate) struct Package {
    /// What it is called.
    pub(crate) function: FunctionName,
    /// What is asked for; whether it may be wider than what is live is not said yet.
    pub(crate) request: DeployRequest,
    /// Its component.
    pub(crate) component: Bytes,
}

/// The functions at `path`, or those of them that were named.
///
/// # Errors
///
/// The first thing that is wrong; nothing was sent.
pub(crate) async fn read(
    path: &Path,
    named: &[FunctionName],
    message: Option<&str>,
    fetching: &Fetching,
) -> anyhow::Result<Vec<Package>> {
    let source = functions::source(path).map_err(|error| error.hinted_for("deploy"))?;
    let functions = chosen(source.functions, named)?;
    functions::check_built(path, functions.iter().map(Written::component)).map_err(hinted)?;
    let mut packages = Vec::with_capacity(functions.len());
    for written in functions {
        let name = written.name.clone();
        let package = pack(written, message, fetching).await;
        packages.push(package.with_context(|| format!("function {name}"))?);
    }
    Ok(packages)
}

/// Those that were named; all of them if none was.
pub(in crate::cmd) fn chosen(
    functions: Vec<Written>,
    named: &[FunctionName],
) -> anyhow::Result<Vec<Written>> {
    let known: BTreeSet<_> = functions
        .iter()
        .map(|written| written.name.clone())
        .collect();
    for name in named {
        if !known.contains(name) {
            let error = anyhow::anyhow!("there is no function `{name}` in the manifest");
            let known: Vec<_> = known.iter().map(FunctionName::as_str).collect();
            let hint = match suggest::nearest(name.as_str(), known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("it has {}", known.join(", ")),
            };
            return Err(with_hint(error, hint));
        }
    }
    let is_chosen = |written: &Written| named.is_empty() || named.contains(&written.name);
    Ok(functions.into_iter().filter(is_chosen).collect())
}

async fn pack(
    written: Written,
    message: Option<&str>,
    fetching: &Fetching,
) -> anyhow::Result<Package> {
    let (component, _) = component(&written.component, fetching).await?;
    let Written {
        name,
        routes,
        limits,
        isolation,
        grants,
        keep,
        ..
    } = written;
    let request = DeployRequest {
        digest: Digest::of(&component),
        routes,
        limits,
        isolation: isolation.unwrap_or_default(),
        grants,
        keep,
        message: message.map(str::to_owned),
        widen: false,
    };
    Ok(Package {
        function: name,
        request,
        component,
    })
}

/// The bytes that a node takes. Whether the node has what they import is for the node to say: it
/// may be newer than this program.
///
/// # Errors
///
/// It is not there, or it is nothing that could run.
pub(in crate::cmd) async fn component(
    component: &Component,
    fetching: &Fetching,
) -> anyhow::Result<(Bytes, Inspection)> {
    let in_file = || format!("`{component}`");
    let source = match component {
        Component::File(path) => regular::read(path, COMPONENT_BYTES_MAX)
            .with_context(|| format!("read {}", in_file()))?,
        Component::Elsewhere(pinned) => fetching.get(pinned).await.map_err(hinted)?.component,
    };
    let binary = to_binary(&source).map_err(hinted).with_context(in_file)?;
    let inspection = inspect(&binary).map_err(hinted).with_context(in_file)?;
    Ok((Bytes::from(binary.into_owned()), inspection))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use insta::assert_snapshot;

    use super::*;

    const COMMAND: &str = r#"(module (func (export "_start")))"#;

    /// The same without waiting: no component here is elsewhere.
    fn read(
        path: &Path,
        named: &[FunctionName],
        message: Option<&str>,
    ) -> anyhow::Result<Vec<Package>> {
        let read = super::read(path, named, message, &Fetching::Never);
        crate::cmd::block_on(read).unwrap()
    }

    fn folder(manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("midge.toml"), manifest).unwrap();
        fs::write(folder.path().join("hello.wat"), COMMAND).unwrap();
        folder
    }

    fn check(manifest: &str, named: &[&str]) -> String {
        let folder = folder(manifest);
        let named: Vec<_> = named.iter().map(|name| name.parse().unwrap()).collect();
        let text = match read(folder.path(), &named, Some("why")) {
            Ok(packages) => {
                let lines = packages.iter().map(|package| {
                    let request = serde_json::to_string(&package.request).unwrap();
                    format!("{} {request}", package.function)
                });
                lines.collect::<Vec<_>>().join("\n")
            }
            Err(error) => {
                let hint = crate::cmd::fault::hint_of(&error).unwrap_or("none");
                format!("error: {error:#}\nhint: {hint}")
            }
        };
        text.replace(&*folder.path().to_string_lossy(), "FOLDER")
    }

    const TWO: &str = r#"
        [function.hello]
        component = "hello.wat"
        keep = 3
        limits = { memory = "64MiB" }
        allow = { dirs = [{ host = "data", guest = "/data", mode = "rw" }] }

        [function.other]
        component = "other.wasm"
    "#;

    #[test]
    fn folders_are_sent_as_written_and_text_as_binary() {
        let text = check(TWO, &["hello"]);
        assert!(text.contains(r#""host":"data","guest":"/data""#), "{text}");
        assert!(text.contains(r#""limits":{"memory":"64MiB"}"#), "{text}");
        assert!(
            text.contains(r#""keep":3,"message":"why","widen":false"#),
            "{text}"
        );
        let folder = folder(TWO);
        let packages = read(folder.path(), &["hello".parse().unwrap()], None).unwrap();
        assert!(packages[0].component.starts_with(b"\0asm"));
        assert_eq!(
            packages[0].request.digest,
            Digest::of(&packages[0].component)
        );
    }

    #[test]
    fn a_function_that_is_not_there_is_answered_with_the_nearest() {
        assert_snapshot!(check(TWO, &["helo"]), @r"
        error: there is no function `helo` in the manifest
        hint: did you mean `hello`?
        ");
        assert_snapshot!(check(TWO, &["x"]), @r"
        error: there is no function `x` in the manifest
        hint: it has hello, other
        ");
    }

    #[test]
    fn a_component_that_is_not_there_is_named() {
        assert_snapshot!(check(TWO, &[]), @"
        error: function other: there is no `FOLDER/other.wasm`
        hint: correct `component` in midge.toml, or say with `build` how it is made
        ");
    }

    #[test]
    fn a_single_file_says_nothing_about_routes() {
        let folder = folder(TWO);
        let packages = read(&folder.path().join("hello.wat"), &[], None).unwrap();
        assert_eq!(packages[0].function.as_str(), "hello");
        assert!(packages[0].request.routes.is_empty());
    }
}
