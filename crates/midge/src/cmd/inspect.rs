//! `midge inspect FILE`: says what a WebAssembly file is.
//!
//! Contract, size, digest, makers, imports with what each could reach and what it
//! would need for that, exports, the limits it would run under and the bounds that
//! hold for every instance. Telling them from the bytes is the sandbox; this only lays
//! them out. Last, whether the types of the imports are this host's: for that an engine is made, of
//! the smallest kind, and none of the file's code is compiled.
//!
//! **Invariant:** text from inside the file is printed without its control
//! characters.

use std::path::Path;

use anyhow::Context as _;
use midge_model::quantity::format_bytes;
use midge_model::{ComponentReference, ComponentSource, Limits};
use midge_sandbox::{
    Allocation, Bound, Engine, Import, Inspection, Producer, SandboxConfig, bounds, check_types,
    inspect,
};
use serde::{Serialize, Serializer};

use super::Ending;
use super::fault::{hinted, with_hint};
use crate::cli::InspectArgs;
use crate::components::{COMPONENT_BYTES_MAX, Fetching};
use crate::table::Facts;
use crate::{regular, say};

/// Prints what the file is to stdout.
pub(super) fn run(args: &InspectArgs) -> anyhow::Result<Ending> {
    let file = &args.file;
    let source = read(args)?;
    let in_file = || format!("`{}`", file.display());
    let inspection = inspect(&source).map_err(hinted).with_context(in_file)?;
    let report = Report {
        file,
        inspection: &inspection,
        limits: Limits::SAFE,
        bounds: bounds(),
    };
    if args.json {
        say::data(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else {
        say::data(&report.to_text())?;
    }
    // Said last: the report is true, and shows the other imports too.
    inspection
        .check_imports()
        .map_err(hinted)
        .with_context(in_file)?;
    let engine = Engine::new(&SandboxConfig {
        allocation: Allocation::OnDemand,
        instances_max: 1,
    })?;
    check_types(&engine, &source)
        .map_err(hinted)
        .with_context(in_file)?;
    Ok(Ending::Done)
}

fn read(args: &InspectArgs) -> anyhow::Result<Vec<u8>> {
    let file = &args.file;
    if let Some(text) = file.to_str().filter(|text| ComponentSource::is_place(text)) {
        let reference: ComponentReference = text.parse().map_err(hinted)?;
        let pinned = reference.pinned().map_err(hinted)?;
        let fetching = Fetching::usual(&args.cache);
        let fetched = super::block_on(fetching.get(&pinned))?.map_err(hinted)?;
        return Ok(fetched.component);
    }
    regular::read(file, COMPONENT_BYTES_MAX)
        .with_context(|| format!("read `{}`", file.display()))
        .map_err(|error| with_hint(error, "midge inspect FILE.wasm"))
}

/// Everything there is to say; also the shape of `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a Path,
    #[serde(flatten)]
    inspection: &'a Inspection,
    limits: Limits,
    #[serde(serialize_with = "as_map")]
    bounds: Vec<Bound>,
}

/// A key for each bound, as limits have them.
fn as_map<S: Serializer>(bounds: &[Bound], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(bounds.iter().map(|bound| (bound.name, &bound.value)))
}

impl Report<'_> {
    fn to_text(&self) -> String {
        let Inspection {
            contract,
            digest,
            size_bytes,
            producers,
            imports,
            exports,
        } = self.inspection;
        let mut text = Facts::default();
        text.row("file", &self.file.display());
        text.row("contract", contract);
        text.row("size", &format_bytes(*size_bytes));
        text.row("digest", digest);
        text.rows("made with", producers.iter().map(producer));
        text.rows("imports", imports.iter().map(import));
        text.rows("exports", exports.iter().cloned());
        let limits = self.limits.rows().into_iter();
        text.rows(
            "limits",
            limits.map(|(key, value)| format!("{key} {value}")),
        );
        let bounds = self.bounds.iter();
        text.rows(
            "bounds",
            bounds.map(|bound| format!("{} {}", bound.name, bound.value)),
        );
        text.to_text()
    }
}

fn producer(producer: &Producer) -> String {
    let Producer {
        field,
        name,
        version,
    } = producer;
    let version = if version.is_empty() {
        String::new()
    } else {
        format!(" {version}")
    };
    format!("{name}{version} ({field})")
}

fn import(import: &Import) -> String {
    let name = import.full_name();
    match (import.provided, import.needs_grant, import.reaches) {
        (false, _, _) if import.ends_when_called => {
            format!("{name} (this host does not have it; a call ends the invocation)")
        }
        (false, _, _) => match import.versions_here().as_slice() {
            [] => format!("{name} (this host does not have it)"),
            versions => format!("{name} (this host has {})", versions.join(" and ")),
        },
        (true, Some(grant), Some(reaches)) => {
            format!("{name} (could reach {reaches}; denied without a grant: {grant})")
        }
        (true, _, _) => name,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_model::Digest;
    use midge_sandbox::Contract;

    use super::*;

    fn import(name: &str, version: &str, needs_grant: Option<&'static str>) -> Import {
        let (name, version) = (name.to_owned(), Some(version.to_owned()));
        Import {
            name,
            version,
            functions: Vec::new(),
            provided: true,
            ends_when_called: false,
            needs_grant,
            reaches: needs_grant.map(|_| "HTTP servers"),
        }
    }

    #[test]
    fn a_file_is_told_in_two_columns_without_its_control_characters() {
        let inspection = Inspection {
            contract: Contract::Http02,
            digest: Digest::of(b""),
            size_bytes: 1536,
            producers: vec![Producer {
                field: "language".to_owned(),
                name: "Ru\x1b[31mst".to_owned(),
                version: String::new(),
            }],
            imports: vec![
                import("wasi:http/types", "0.2.6", None),
                import("wasi:http/outgoing-handler", "0.2.6", Some("http")),
            ],
            exports: Vec::new(),
        };
        let file = Path::new("hello.wasm");
        let report = Report {
            file,
            inspection: &inspection,
            limits: Limits::SAFE,
            bounds: vec![Bound {
                name: "stack",
                value: "1MiB".to_owned(),
            }],
        };
        assert_snapshot!(report.to_text(), @r"
        file       hello.wasm
        contract   HTTP handler, WASI 0.2
        size       1.5KiB
        digest     sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
        made with  Ru�[31mst (language)
        imports    wasi:http/types@0.2.6
                   wasi:http/outgoing-handler@0.2.6 (could reach HTTP servers; denied without a grant: http)
        exports    none
        limits     memory 128MiB
                   cpu 2s
                   time 10s
                   concurrency 200
                   queue 1000
                   queue-time 10s
                   request-body 10MiB
                   response-body 1GiB
                   log 256KiB
                   log-rate 1MiB
                   outbound-calls 50
                   outbound-bytes 100MiB
                   sockets 16
                   weight 100
        bounds     stack 1MiB
        ");
    }
}
