//! Components as OCI artifacts: made, kept in folders, pushed to registries and fetched.
//!
//! Decides what an artifact with a component looks like (the CNCF's "Wasm OCI Artifact layout"),
//! how registries and web servers are spoken to, and what is believed of them: nothing whose digest
//! was not computed here. What is fetched when, where the cache lies and whose credentials are used
//! is the caller's.
//!
//! **Invariant:** everything that a server sends is bounded in bytes and time, and bytes come out
//! of here only under the digest that they have.
#![forbid(unsafe_code)]

mod annotations;
mod artifact;
mod blobs;
mod fetch;
mod layout;
mod login;
mod registry;
mod server;
#[cfg(test)]
mod tests;
mod web;

pub use artifact::{
    Artifact, ArtifactError, CONFIG_MEDIA_TYPE, DOCUMENT_BYTES_MAX, Description, LAYER_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE, Manifest,
};
pub use blobs::{Blobs, BlobsError};
pub use fetch::{FetchError, Fetched, cached, fetch};
pub use layout::{LayoutError, is_layout, read_layout, write_layout};
pub use login::Credentials;
pub use registry::{Registry, RegistryError, Wanted};
pub use server::{Bounds, ServerError};
pub use web::{WebError, download};
