//! One package on its way to a node: its bytes if they are missing there, then the deploy.
//!
//! **Invariant:** bytes go up before anything refers to them, and only if the node lacks them.

use midge_api::{Client, Deployed, Upload};
use midge_model::NamespaceName;

use super::package::Package;
use super::progress::Progress;
use super::session;

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
    session::write(client, async |options| {
        client.deploy(namespace, function, request, &options).await
    })
    .await
}
