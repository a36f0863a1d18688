//! The words of the commands that hand components on: `bundle`, `push` and `pull`.
//!
//! **Invariant:** nothing is read from disk while parsing.

use std::path::PathBuf;

use midge_model::{ComponentReference, FunctionName, OciPlace};

use super::CacheArgs;

const BUNDLE_EXAMPLES: &str = "\
Examples:
  midge bundle
      Write the components of midge.toml into the folder `bundle`, as an OCI image layout.
  midge bundle shop/ --output dist/shop
      The same of another folder, into another.

Limits and grants stay in the manifest of whoever runs a component; they are not in the bundle.
SOURCE_DATE_EPOCH is when it was made; without it nothing says, and the same input is the same bytes.";

const PUSH_EXAMPLES: &str = "\
Examples:
  midge push oci://ghcr.io/someone/hello:1.0 hello.wasm
      Push one component, and print the line that names it in a manifest.
  midge push oci://localhost:5000/shop/cart:1.0 shop/ --function cart
      Push a function of a manifest, or of what `midge bundle` wrote.

Who you are: `docker login`, or MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD.";

const PULL_EXAMPLES: &str = "\
Examples:
  midge pull oci://ghcr.io/someone/hello:1.0
      Write hello.wasm, and print the line that names it in a manifest.
  midge pull https://example.com/hello.wasm --output vendor/hello.wasm
      The same from a web server, into another file.";

/// `midge bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = BUNDLE_EXAMPLES)]
pub(crate) struct BundleArgs {
    /// A `midge.toml`, a folder with one, a `.wasm` or `.wat` file, or `oci://…@sha256:…`.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Folder to write; one that has components only is replaced.
    #[arg(long, value_name = "FOLDER", default_value = "bundle")]
    pub(crate) output: PathBuf,

    /// Where fetched components are kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

/// `midge push`.
#[derive(Debug, clap::Args)]
#[command(after_help = PUSH_EXAMPLES)]
pub(crate) struct PushArgs {
    /// Where to: a repository of a registry, and a tag in it.
    #[arg(value_name = "oci://HOST/NAME[:TAG]")]
    pub(crate) place: OciPlace,

    /// A `.wasm` or `.wat` file, a `midge.toml`, a folder with one, or one of `midge bundle`.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Which function, where there are several.
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<FunctionName>,

    /// Do without TLS, also to another machine than this one.
    #[arg(long)]
    pub(crate) plain_http: bool,

    /// Where fetched components are kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

/// `midge pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = PULL_EXAMPLES)]
pub(crate) struct PullArgs {
    /// `oci://HOST/NAME[:TAG][@sha256:…]` or `https://HOST/FILE[#sha256=…]`.
    #[arg(value_name = "COMPONENT")]
    pub(crate) reference: ComponentReference,

    /// File to write [default: the last word of the name, with `.wasm`].
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Do without TLS, also to another machine than this one.
    #[arg(long)]
    pub(crate) plain_http: bool,

    /// Where fetched components are kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}
