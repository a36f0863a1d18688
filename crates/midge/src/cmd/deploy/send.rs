//! One package on its way to a node: its bytes if they are missing there, then the deploy.
//!
//! **Invariant:** bytes go up before anything refers to them, and only if the node lacks them.

use std::cell::Cell;

use midge_api::{Client, ClientError, Deployed, ErrorCode, Upload};
use midge_model::{FunctionName, NamespaceName};

use super::package::Package;
use super::progress::Progress;
use crate::cmd::fault::{hint_of, with_hint};
use crate::cmd::session;

/// Deploys it. To repeat this is safe: what is there already is found to be there.
///
/// # Errors
///
/// What the node refused, or that it could not be reached.
pub(super) async fn send(
    client: &Client,
    namespace: &NamespaceName,
    package: &Package,
    progress: &Progress,
) -> anyhow::Result<Deployed> {
    let Package {
        function,
        request,
        component,
    } = package;
    let digest = &request.digest;
    let is_there = client.has_component(namespace, digest).await;
    if !is_there.map_err(|error| session::fault(client, error))? {
        let step = progress.upload(function, component.len() as u64);
        let told = step.teller();
        let upload = Upload::bytes(component.clone()).with_progress(told);
        let put = client.put_component(namespace, digest, upload).await;
        put.map_err(|error| session::fault(client, error))?;
    }
    let _step = progress.wait(function);
    let is_taken = Cell::new(false);
    let deployed = session::write(client, async |options| {
        let deployed = client.deploy(namespace, function, request, &options).await;
        let problem = deployed.as_ref().err().and_then(ClientError::problem);
        is_taken.set(problem.is_some_and(|problem| problem.is(ErrorCode::RouteTaken)));
        deployed
    });
    match deployed.await {
        Err(error) if is_taken.get() => Err(with_ways_out(error, namespace, function)),
        deployed => deployed,
    }
}

/// What the node says of the route, and how a function is reached without it: at a host of its own,
/// whatever its routes, or in a namespace that knows nothing of this one's.
fn with_ways_out(
    error: anyhow::Error,
    namespace: &NamespaceName,
    function: &FunctionName,
) -> anyhow::Error {
    let hint = hint_of(&error).unwrap_or_default().to_owned();
    let ways = format!(
        "or leave `routes` out: then {function} answers below /{function}/, where its code sees the \
         whole path,\n    \
         and at its own host from the root on, as in http://{function}.{namespace}.localhost:8080/\n    \
         or deploy it into another namespace: midge deploy -n NAMESPACE"
    );
    with_hint(error, format!("{hint}\n    {ways}"))
}
