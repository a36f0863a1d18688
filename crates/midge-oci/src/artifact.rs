//! One component as an OCI artifact: a manifest, a config and one layer.
//!
//! Decides what of a manifest somebody else wrote is accepted: one layer, which is WebAssembly. The
//! layout is the CNCF's "Wasm OCI Artifact layout", which `wkg`, wasmCloud and containerd read.
//!
//! **Invariant:** the same component with the same description is the same bytes, whenever and
//! wherever it is made.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use midge_model::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::annotations;

/// What a manifest is.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What an index of manifests is.
pub(crate) const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// What the config of a component is, and by that the artifact.
pub const CONFIG_MEDIA_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// What its one layer is.
pub const LAYER_MEDIA_TYPE: &str = "application/wasm";

/// The longest manifest, config or index, and the longest answer to a login: what registries
/// themselves take is four times that, and ours have two thousand bytes.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Where a file says whether it is a component (1) or a core module (0).
const LAYER_AT: usize = 6;

/// How much of a foreign word is repeated in messages.
const SHOWN_CHARS_MAX: usize = 80;

/// Why bytes are not the manifest of a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// Something else, such as a web page.
    #[error("the manifest is not JSON of a manifest: {reason}")]
    NotAManifest {
        /// Where the reader gave up.
        reason: String,
    },
    /// Another schema.
    #[error("the manifest has `schemaVersion` {version}, not 2")]
    SchemaVersion {
        /// What it has.
        version: u64,
    },
    /// Several artifacts under one name, as images for several machines are.
    #[error("this is an index of {count} manifests, not one component")]
    Index {
        /// How many.
        count: usize,
    },
    /// An image for containers, or another artifact.
    #[error("this is no component: its config is `{found}`, not `{CONFIG_MEDIA_TYPE}`")]
    Config {
        /// What it is.
        found: String,
    },
    /// None, or more than one.
    #[error("the artifact has {count} layers, a component is exactly one")]
    Layers {
        /// How many.
        count: usize,
    },
    /// One layer of another kind.
    #[error("the layer is `{found}`, not `{LAYER_MEDIA_TYPE}`")]
    Layer {
        /// What it is.
        found: String,
    },
    /// More than anybody takes.
    #[error("the component is said to have {size_bytes} bytes, the most are {bytes_max}")]
    TooLarge {
        /// What the manifest says.
        size_bytes: u64,
        /// The most there may be.
        bytes_max: u64,
    },
}

/// What is said about a component beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What it asks its host for, as `wasi:http/types@0.2.0`.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
    /// When it was made, if somebody said so (`SOURCE_DATE_EPOCH`); since 1970.
    pub created: Option<Duration>,
}

/// A component with all that goes along with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The manifest, as registries have it.
    pub manifest: Bytes,
    /// The config that it names.
    pub config: Bytes,
    /// The layer that it names.
    pub component: Bytes,
}

/// What is believed of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    /// Digest of the config.
    pub config: Digest,
    /// Size of the config.
    pub config_bytes: u64,
    /// Digest of the component.
    pub component: Digest,
    /// Size of the component.
    pub component_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestOut<'a> {
    schema_version: u32,
    media_type: &'static str,
    artifact_type: &'static str,
    config: Descriptor<'a>,
    layers: [Descriptor<'a>; 1],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

/// What names a blob.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor<'a> {
    pub(crate) media_type: &'static str,
    pub(crate) digest: Digest,
    pub(crate) size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<&'static str, &'a str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigOut<'a> {
    created: Timestamp,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [Digest; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<ComponentOut<'a>>,
}

#[derive(Serialize)]
struct ComponentOut<'a> {
    exports: &'a [String],
    imports: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestIn {
    schema_version: u64,
    config: Option<DescriptorIn>,
    #[serde(default)]
    layers: Vec<DescriptorIn>,
    manifests: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorIn {
    media_type: String,
    digest: Digest,
    size: u64,
}

impl<'a> Descriptor<'a> {
    pub(crate) fn of(media_type: &'static str, blob: &[u8]) -> Self {
        Self {
            media_type,
            digest: Digest::of(blob),
            size: blob.len(),
            artifact_type: None,
            annotations: None,
        }
    }
}

impl Artifact {
    /// The artifact of a component.
    pub fn new(component: Bytes, description: &Description) -> Self {
        let config = config(&component, description);
        let mut annotations = annotations::of(&component);
        if let Some(created) = description.created {
            let created = timestamp(created).to_string();
            annotations.insert(annotations::key_of("created"), created);
        }
        let manifest = ManifestOut {
            schema_version: 2,
            media_type: MANIFEST_MEDIA_TYPE,
            artifact_type: CONFIG_MEDIA_TYPE,
            config: Descriptor::of(CONFIG_MEDIA_TYPE, &config),
            layers: [Descriptor::of(LAYER_MEDIA_TYPE, &component)],
            annotations: &annotations,
        };
        Self {
            manifest: json(&manifest).into(),
            config: config.into(),
            component,
        }
    }

    /// The digest by which it is fetched: its manifest's.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

impl Manifest {
    /// Reads a manifest that somebody else wrote.
    ///
    /// # Errors
    ///
    /// It is not that of one component of at most so many bytes.
    pub fn parse(bytes: &[u8], component_bytes_max: u64) -> Result<Self, ArtifactError> {
        let read: ManifestIn =
            serde_json::from_slice(bytes).map_err(|error| ArtifactError::NotAManifest {
                reason: shown(&error.to_string()),
            })?;
        if read.schema_version != 2 {
            let version = read.schema_version;
            return Err(ArtifactError::SchemaVersion { version });
        }
        if let Some(manifests) = read.manifests {
            let count = manifests.len();
            return Err(ArtifactError::Index { count });
        }
        let Some(config) = read.config else {
            let reason = "it has no `config`".to_owned();
            return Err(ArtifactError::NotAManifest { reason });
        };
        if config.media_type != CONFIG_MEDIA_TYPE {
            let found = shown(&config.media_type);
            return Err(ArtifactError::Config { found });
        }
        let [layer] = read.layers.as_slice() else {
            let count = read.layers.len();
            return Err(ArtifactError::Layers { count });
        };
        if layer.media_type != LAYER_MEDIA_TYPE {
            let found = shown(&layer.media_type);
            return Err(ArtifactError::Layer { found });
        }
        if layer.size > component_bytes_max {
            return Err(ArtifactError::TooLarge {
                size_bytes: layer.size,
                bytes_max: component_bytes_max,
            });
        }
        Ok(Self {
            config: config.digest,
            config_bytes: config.size,
            component: layer.digest,
            component_bytes: layer.size,
        })
    }
}

fn config(component: &[u8], description: &Description) -> Vec<u8> {
    let is_component = component.get(LAYER_AT) == Some(&1);
    let Description {
        imports,
        exports,
        created,
        ..
    } = description;
    json(&ConfigOut {
        // Readers of `oci-wasm` want a time; the one that says nothing is the beginning of all.
        created: timestamp(created.unwrap_or_default()),
        architecture: "wasm",
        os: if is_component { "wasip2" } else { "wasip1" },
        layer_digests: [Digest::of(component)],
        component: is_component.then(|| ComponentOut {
            exports,
            imports,
            target: target(imports, exports),
        }),
    })
}

/// The world that a component is made for, where all that it imports may be of that world.
fn target(imports: &[String], exports: &[String]) -> Option<String> {
    const WORLDS: [(&str, &str); 3] = [
        ("wasi:http/incoming-handler@", "wasi:http/proxy@"),
        ("wasi:http/handler@", "wasi:http/service@"),
        ("wasi:cli/run@", "wasi:cli/command@"),
    ];
    if !imports.iter().all(|import| import.starts_with("wasi:")) {
        return None;
    }
    WORLDS.iter().find_map(|(export, world)| {
        let mut versions = exports.iter().filter_map(|name| name.strip_prefix(export));
        versions.next().map(|version| format!("{world}{version}"))
    })
}

fn timestamp(since_1970: Duration) -> Timestamp {
    Timestamp::from_ms(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("texts, numbers and maps of texts are JSON")
}

pub(crate) fn shown(text: &str) -> String {
    text.escape_debug().take(SHOWN_CHARS_MAX).collect()
}
