//! Components on their way in, and who may deploy which.
//!
//! Decides what is taken: bytes of the digest that was announced, in the binary format, no larger
//! than the node and the namespace's quota allow. An artifact is shared by everybody who has its
//! bytes; that a namespace has them is a record of its own, so that knowing a digest gives nobody
//! another's component.
//!
//! **Invariant:** a namespace has a component record only after all of the bytes came from it, and
//! only while the artifact is there.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use midge_api::{ComponentInfo, ErrorCode};
use midge_model::quantity::format_bytes;
use midge_model::{Digest, NamespaceName};
use midge_store::records::{self, ComponentRecord, NamespaceRecord, Versioned, component_key};
use midge_store::{Expect, FinishError, PutError, now};
use serde_json::json;

use crate::audit::Deed;
use crate::control::{ATTEMPTS_MAX, Control, Turn};
use crate::error::ControlError;
use crate::role::Operation;
use crate::who::Who;

/// How every WebAssembly binary begins. The text format would be assembled here, by a parser that
/// need not meet strangers' bytes.
const MAGIC: &[u8] = b"\0asm";
/// How old a component may be that nothing names before it is swept away.
pub(crate) const UNUSED_COMPONENT_AGE: Duration = Duration::from_secs(60 * 60);
/// How much of an upload is written between two looks at the room that is left; others upload at
/// the same time.
const LOOK_EVERY_BYTES: u64 = 1 << 20;
/// A deploy of a component older than this says anew that somebody wants it, so that no sweep
/// takes it away between that and the revision that names it.
const RENEW_AGE: Duration = Duration::from_secs(30 * 60);

/// The bytes of a component as they come.
#[derive(Debug)]
pub struct Upload<S> {
    /// How many were announced, if that is known.
    pub length_bytes: Option<u64>,
    /// The bytes; what goes wrong with them is the caller's fault.
    pub bytes: S,
}

impl Control {
    /// Whether the namespace has a component; who asks first uploads only what is missing.
    ///
    /// # Errors
    ///
    /// The caller may not, or it has not.
    pub async fn has_component(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        digest: &Digest,
    ) -> Result<ComponentInfo, ControlError> {
        who.may(Operation::HasComponent, Some(namespace))?;
        self.namespace(who, namespace).await?;
        let Some(found) = self.component(namespace, digest).await? else {
            let message = format!("namespace `{namespace}` has no component {digest}");
            return Err(ControlError::new(ErrorCode::NotFound, message)
                .with_hint("upload it first: `midge deploy` does"));
        };
        Ok(ComponentInfo {
            digest: *digest,
            size_bytes: found.value.size_bytes,
            new: false,
        })
    }

    /// Takes a component's bytes.
    ///
    /// # Errors
    ///
    /// The caller may not, the bytes are too many, not what was announced or no WebAssembly
    /// binary, or they did not all come. Nothing of them is left then.
    pub async fn put_component<E>(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        digest: &Digest,
        upload: Upload<impl Stream<Item = Result<Bytes, E>> + Send + Unpin>,
    ) -> Result<ComponentInfo, ControlError>
    where
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        self.let_through(who, Operation::PutComponent, Some(namespace))
            .await?;
        // Before anything is written: what a full disk refuses must not fill it up.
        let announced = upload.length_bytes.unwrap_or(0);
        self.room_on_disk(announced.min(self.config.component_bytes_max))
            .await?;
        let deed = Deed {
            operation: Operation::PutComponent,
            namespace: Some(namespace),
            subject: digest.to_string(),
            detail: json!({}),
        };
        let work = async {
            let tenant = self.namespace(who, namespace).await?.value;
            let is_new = self.component(namespace, digest).await?.is_none();
            let length_bytes = upload.length_bytes.unwrap_or(0);
            if length_bytes > self.config.component_bytes_max {
                return Err(self.too_large(length_bytes));
            }
            if is_new {
                let bytes_max = tenant.quota.component_bytes;
                self.room_for_component(namespace, length_bytes, bytes_max)
                    .await?;
            }
            let room = is_new.then_some(&tenant);
            let size_bytes = self.take(digest, room, upload.bytes).await?;
            let turn = self.turn().await?;
            let kept = self
                .keep_component(who, &tenant, (digest, size_bytes), &turn)
                .await;
            if kept.is_err() {
                self.drop_unnamed(digest, &turn).await;
            }
            kept
        };
        self.audited(
            who,
            deed,
            work,
            |info| json!({ "size_bytes": info.size_bytes }),
        )
        .await
    }

    /// The record that a namespace has a component.
    pub(crate) async fn component(
        &self,
        namespace: &NamespaceName,
        digest: &Digest,
    ) -> Result<Option<Versioned<ComponentRecord>>, ControlError> {
        let key = component_key(namespace, digest);
        Ok(records::read(self.registry(), &key).await?)
    }

    /// The component that is to be deployed, said anew to be wanted if nobody did for a while.
    ///
    /// # Errors
    ///
    /// The namespace does not have it.
    pub(crate) async fn component_to_deploy(
        &self,
        namespace: &NamespaceName,
        digest: &Digest,
        _turn: &Turn<'_>,
    ) -> Result<ComponentRecord, ControlError> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.component(namespace, digest).await?;
            let Versioned { mut value, version } =
                found.ok_or_else(|| missing(namespace, digest))?;
            let at = now();
            if at.since(value.uploaded_at) < RENEW_AGE {
                return Ok(value);
            }
            value.uploaded_at = at;
            let key = component_key(namespace, digest);
            let expect = Expect::Version(version);
            match records::write(self.registry(), &key, &value, expect).await {
                Ok(_) => return Ok(value),
                Err(PutError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControlError::contended(format!("component {digest}")))
    }

    /// Takes bytes away that came and were refused, if no namespace has them: a sweep would, in
    /// an hour.
    async fn drop_unnamed(&self, digest: &Digest, _turn: &Turn<'_>) {
        let dropped = async {
            if !self.is_named(digest).await? {
                self.store.artifacts.delete(digest).await?;
            }
            Ok::<_, ControlError>(())
        };
        if let Err(error) = dropped.await {
            tracing::warn!(%error, %digest, "refused component left to the sweep");
        }
    }

    /// Writes the bytes down, and makes them an artifact if they are those of the digest. `room`
    /// is whose quota they must fit in, however many were announced.
    async fn take<E>(
        &self,
        digest: &Digest,
        room: Option<&NamespaceRecord>,
        mut bytes: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<u64, ControlError>
    where
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let mut writer = self.store.artifacts.create().await?;
        let mut beginning = Vec::with_capacity(MAGIC.len());
        let (mut size_bytes, mut looked_at_bytes) = (0_u64, 0_u64);
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| {
                ControlError::new(
                    ErrorCode::InvalidRequest,
                    "the upload ended before all bytes came",
                )
                .with_hint("send it again")
                .because(error)
            })?;
            size_bytes += chunk.len() as u64;
            if size_bytes > self.config.component_bytes_max {
                return Err(self.too_large(size_bytes));
            }
            if let Some(tenant) = room {
                let bytes_max = tenant.quota.component_bytes;
                self.room_for_component(&tenant.name, size_bytes, bytes_max)
                    .await?;
            }
            if size_bytes - looked_at_bytes >= LOOK_EVERY_BYTES {
                looked_at_bytes = size_bytes;
                self.room_on_disk(chunk.len() as u64).await?;
            }
            let missing = MAGIC.len() - beginning.len();
            beginning.extend(chunk.iter().take(missing));
            if !MAGIC.starts_with(&beginning) {
                return Err(not_binary());
            }
            writer.write(chunk).await?;
        }
        if beginning != MAGIC {
            return Err(not_binary());
        }
        writer.finish(digest).await.map_err(|error| match error {
            FinishError::Mismatch { found, .. } => ControlError::new(
                ErrorCode::DigestMismatch,
                format!("the bytes that came are {found} and not {digest}"),
            )
            .with_hint("send the bytes again, or name their digest"),
            FinishError::Store(source) => source.into(),
        })
    }

    async fn keep_component(
        &self,
        who: &Who,
        tenant: &NamespaceRecord,
        component: (&Digest, u64),
        _turn: &Turn<'_>,
    ) -> Result<ComponentInfo, ControlError> {
        let (digest, size_bytes) = component;
        self.still_good(who).await?;
        let tenant = self.still_there(who, tenant).await?;
        // A sweep may have taken it away between its end and this turn, as nobody named it yet.
        if self.store.artifacts.size(digest).await?.is_none() {
            return Err(ControlError::contended(format!("component {digest}")));
        }
        let before = self.component(&tenant.name, digest).await?;
        let is_new = before.is_none();
        if is_new {
            let bytes_max = tenant.quota.component_bytes;
            self.room_for_component(&tenant.name, size_bytes, bytes_max)
                .await?;
        }
        let record = ComponentRecord {
            namespace: tenant.name.clone(),
            digest: *digest,
            size_bytes,
            uploaded_at: now(),
            uploaded_by: who.name.clone(),
        };
        let key = component_key(&tenant.name, digest);
        // Whatever is there says the same but for the time.
        records::write(self.registry(), &key, &record, Expect::Any).await?;
        if is_new {
            self.counts.component_added(&tenant.name, size_bytes);
        }
        Ok(ComponentInfo {
            digest: *digest,
            size_bytes,
            new: is_new,
        })
    }

    fn too_large(&self, bytes: u64) -> ControlError {
        let most = format_bytes(self.config.component_bytes_max);
        let message = format!(
            "the component has {} or more, and this node takes {most} at most",
            format_bytes(bytes)
        );
        ControlError::new(ErrorCode::TooLarge, message)
            .with_hint("build it optimised and without debug information")
    }
}

/// The namespace does not have what it wants to deploy.
pub(crate) fn missing(namespace: &NamespaceName, digest: &Digest) -> ControlError {
    let message = format!("component {digest} was not uploaded to namespace `{namespace}`");
    ControlError::new(ErrorCode::ComponentMissing, message)
        .with_hint("upload it and deploy again: `midge deploy` does both")
}

/// Whether the bytes begin as every WebAssembly binary does.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The refusal of bytes that do not.
pub(crate) fn not_binary() -> ControlError {
    ControlError::new(
        ErrorCode::RefusedComponent,
        "this is no WebAssembly binary: it does not begin with `\\0asm`",
    )
    .with_hint("send a `.wasm` file; `midge deploy` turns `.wat` into one")
}
