//! The committed guests: rebuilds those whose source changed, and tells when source and file part.
//!
//! `guests/guests.toml` says how each is made, by hand; `guests/prebuilt.toml` records what it was
//! made from, by this module. Calling the compilers is `build.rs`; whether a guest works is for the
//! tests that run it.
//!
//! **Invariant:** [`check`] only reads and hashes, so it runs where no WebAssembly toolchain is.

mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const USAGE: &str = "\
usage: cargo xtask guests [NAME]...

  Rebuilds the guests whose source changed, or those named, and rewrites guests/prebuilt.toml.
  Rust guests need the targets wasm32-wasip1 and wasm32-wasip2, or a toolchain folder named in
  MIDGE_RUST_WASM; the others need python3 and npm.";

/// Rebuilds the guests whose source changed, or those named in any case, and rewrites the record.
///
/// # Errors
///
/// The first guest that could not be built; those before it are recorded.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return Ok(());
    }
    let guests = Guests::open(&crate::root())?;
    for name in args {
        ensure!(
            guests.recipes.values().any(|recipe| &recipe.name == name),
            "no guest `{name}` in guests/guests.toml"
        );
    }
    let mut record = guests.read_record()?;
    record.retain(|path, _| guests.recipes.contains_key(path));
    let mut built = 0_usize;
    for (path, recipe) in &guests.recipes {
        if !args.is_empty() && !args.contains(&recipe.name) {
            continue;
        }
        let source = guests.source_hash(recipe)?;
        let file = guests.root.join(path);
        let up_to_date = record.get(path).is_some_and(|entry| {
            entry.source == source && file_hash(&file).is_ok_and(|hash| hash == entry.wasm)
        });
        if args.is_empty() && up_to_date {
            continue;
        }
        println!("building {path}");
        build::build(&guests.root, path, recipe).with_context(|| format!("build `{path}`"))?;
        record.insert(
            path.clone(),
            Entry {
                source,
                wasm: file_hash(&file)?,
            },
        );
        // After each, so that a failure does not lose what was built before it.
        guests.write_record(&record)?;
        built += 1;
    }
    guests.write_record(&record)?;
    println!("{built} of {} guests built", guests.recipes.len());
    Ok(())
}

/// Compares sources and files with the record.
///
/// # Errors
///
/// Names every guest that is out of step; `cargo xtask guests` brings them back.
pub(crate) fn check(root: &Path) -> Result<()> {
    let guests = Guests::open(root)?;
    let record = guests.read_record()?;
    let mut faults = Vec::new();
    for (path, recipe) in &guests.recipes {
        match record.get(path) {
            None => faults.push(format!("`{path}` is not recorded")),
            Some(entry) if entry.source != guests.source_hash(recipe)? => {
                faults.push(format!("the source of `{path}` changed since it was built"));
            }
            Some(entry) => match file_hash(&guests.root.join(path)) {
                Ok(hash) if hash == entry.wasm => {}
                Ok(_) => faults.push(format!("`{path}` is not the file that was recorded")),
                Err(err) => faults.push(format!("`{path}` cannot be read: {err:#}")),
            },
        }
    }
    let mut known: BTreeSet<String> = guests.committed()?.into_iter().collect();
    known.extend(record.into_keys());
    for path in known {
        if !guests.recipes.contains_key(&path) {
            faults.push(format!("`{path}` has no entry in guests/guests.toml"));
        }
    }
    ensure!(
        faults.is_empty(),
        "prebuilt guests are out of step, run `cargo xtask guests`:\n  {}",
        faults.join("\n  ")
    );
    Ok(())
}

/// What `guests.toml` says, by the path of the file that is made.
struct Guests {
    root: PathBuf,
    recipes: BTreeMap<String, Recipe>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    #[serde(skip)]
    name: String,
    /// Files and folders it is made from; Cargo's workspace files are added to Rust guests.
    #[serde(default)]
    sources: Vec<String>,
    /// Absent for bytes that are their own source.
    build: Option<Build>,
}

/// Ways to make a guest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Build {
    /// Something of this workspace's.
    Cargo(Unit),
    /// A shell script, run in its folder with the output's path as argument.
    Script(String),
    /// A text file, assembled.
    Wat(String),
    /// Text files with fields of a component, put into one and assembled.
    Component(Vec<String>),
}

/// A package's `cdylib`, or one of its binaries or examples.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unit {
    package: String,
    target: String,
    bin: Option<String>,
    example: Option<String>,
}

/// What a committed file is and what it was made from, both as SHA-256.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    source: String,
    wasm: String,
}

type Record = BTreeMap<String, Entry>;

const FOLDERS: [&str; 3] = ["benches", "examples", "fixtures"];
const RECORD: &str = "prebuilt.toml";
const RECORD_HEAD: &str =
    "# Written by `cargo xtask guests`: what each committed guest was made from.\n\n";

impl Guests {
    fn open(repository: &Path) -> Result<Self> {
        let root = repository.join("guests");
        let text =
            fs::read_to_string(root.join("guests.toml")).context("read guests/guests.toml")?;
        let folders: BTreeMap<String, BTreeMap<String, Recipe>> =
            toml::from_str(&text).context("parse guests/guests.toml")?;
        let mut recipes = BTreeMap::new();
        for (folder, entries) in folders {
            ensure!(
                FOLDERS.contains(&&*folder),
                "guests.toml has `{folder}`, not one of {FOLDERS:?}"
            );
            for (name, mut recipe) in entries {
                let file = if name.contains('.') {
                    name.clone()
                } else {
                    format!("{name}.wasm")
                };
                recipe.name = name;
                recipes.insert(format!("{folder}/prebuilt/{file}"), recipe);
            }
        }
        Ok(Self { root, recipes })
    }

    fn read_record(&self) -> Result<Record> {
        match fs::read_to_string(self.root.join(RECORD)) {
            Ok(text) => toml::from_str(&text).context("parse guests/prebuilt.toml"),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Record::new()),
            Err(err) => Err(err).context("read guests/prebuilt.toml"),
        }
    }

    fn write_record(&self, record: &Record) -> Result<()> {
        let text = format!("{RECORD_HEAD}{}", toml::to_string(record)?);
        fs::write(self.root.join(RECORD), text).context("write guests/prebuilt.toml")
    }

    /// The files that lie in the `prebuilt` folders.
    fn committed(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for folder in FOLDERS {
            collect(&self.root, &format!("{folder}/prebuilt"), &mut files)?;
        }
        Ok(files)
    }

    fn source_hash(&self, recipe: &Recipe) -> Result<String> {
        let mut files = Vec::new();
        for source in &recipe.sources {
            collect(&self.root, source, &mut files)?;
        }
        match &recipe.build {
            Some(Build::Cargo(_)) => files.extend(["Cargo.lock", "Cargo.toml"].map(str::to_owned)),
            Some(Build::Script(file) | Build::Wat(file)) => files.push(file.clone()),
            Some(Build::Component(parts)) => files.extend_from_slice(parts),
            None => {}
        }
        files.sort_unstable();
        files.dedup();
        let mut hash = Sha256::new();
        for file in files {
            let bytes =
                fs::read(self.root.join(&file)).with_context(|| format!("read `{file}`"))?;
            // Lengths first: no two different trees give the same bytes to hash.
            hash.update(file.len().to_le_bytes());
            hash.update(&file);
            hash.update(bytes.len().to_le_bytes());
            hash.update(&bytes);
        }
        Ok(hex(&hash.finalize()))
    }
}

/// Adds the files at or below `path`, relative to `root` and with `/`, without what builds leave.
fn collect(root: &Path, path: &str, files: &mut Vec<String>) -> Result<()> {
    const LEFT_BY_BUILDS: [&str; 2] = ["node_modules", "target"];
    let full = root.join(path);
    if !full.is_dir() {
        ensure!(full.exists(), "`guests/{path}` does not exist");
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(&full).with_context(|| format!("read `guests/{path}`"))? {
        let name = entry?.file_name();
        let name = name
            .to_str()
            .with_context(|| format!("{} is not UTF-8", name.display()))?;
        if !LEFT_BY_BUILDS.contains(&name) {
            collect(root, &format!("{path}/{name}"), files)?;
        }
    }
    Ok(())
}

fn file_hash(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("read `{}`", file.display()))?;
    Ok(hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Entry, Guests, Record, check, file_hash};

    const RECIPE: &str = "[fixtures.echo]\nbuild.wat = 'echo.wat'\nsources = ['shared']\n";

    /// What [`check`] says of one recorded guest after `change`.
    fn check_after(change: impl FnOnce(&Path)) -> String {
        let repository = tempfile::tempdir().unwrap();
        let root = repository.path().join("guests");
        for folder in [
            "benches/prebuilt",
            "examples/prebuilt",
            "fixtures/prebuilt",
            "shared/deep",
        ] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (file, text) in [
            ("guests.toml", RECIPE),
            ("echo.wat", "(module)"),
            ("shared/deep/help.wat", ";; help"),
            ("fixtures/prebuilt/echo.wasm", "binary"),
        ] {
            fs::write(root.join(file), text).unwrap();
        }
        let guests = Guests::open(repository.path()).unwrap();
        let path = "fixtures/prebuilt/echo.wasm";
        let entry = Entry {
            source: guests.source_hash(&guests.recipes[path]).unwrap(),
            wasm: file_hash(&root.join(path)).unwrap(),
        };
        let record = Record::from([(path.to_owned(), entry)]);
        guests.write_record(&record).unwrap();

        change(&root);
        match check(repository.path()) {
            Ok(()) => "in step".to_owned(),
            Err(err) => format!("{err:#}").lines().skip(1).collect(),
        }
    }

    #[test]
    fn an_untouched_guest_is_in_step() {
        assert_eq!(check_after(|_| {}), "in step");
    }

    #[test]
    fn what_a_build_leaves_behind_is_no_source() {
        let said = check_after(|root| {
            fs::create_dir(root.join("shared/node_modules")).unwrap();
            fs::write(root.join("shared/node_modules/left.js"), "").unwrap();
        });
        assert_eq!(said, "in step");
    }

    #[test]
    fn a_changed_source_is_told() {
        let said = check_after(|root| fs::write(root.join("echo.wat"), "(module )").unwrap());
        assert_eq!(
            said,
            "  the source of `fixtures/prebuilt/echo.wasm` changed since it was built"
        );
    }

    #[test]
    fn a_renamed_shared_source_is_told() {
        let said = check_after(|root| {
            let shared = root.join("shared");
            fs::rename(shared.join("deep/help.wat"), shared.join("help.wat")).unwrap();
        });
        assert_eq!(
            said,
            "  the source of `fixtures/prebuilt/echo.wasm` changed since it was built"
        );
    }

    #[test]
    fn a_file_changed_by_hand_is_told() {
        let said = check_after(|root| {
            fs::write(root.join("fixtures/prebuilt/echo.wasm"), "other").unwrap();
        });
        assert_eq!(
            said,
            "  `fixtures/prebuilt/echo.wasm` is not the file that was recorded"
        );
    }

    #[test]
    fn a_file_without_a_recipe_is_told() {
        let said = check_after(|root| {
            fs::write(root.join("fixtures/prebuilt/stray.wasm"), "").unwrap();
        });
        assert_eq!(
            said,
            "  `fixtures/prebuilt/stray.wasm` has no entry in guests/guests.toml"
        );
    }

    #[test]
    fn a_guest_without_a_record_is_told() {
        let said = check_after(|root| fs::remove_file(root.join("prebuilt.toml")).unwrap());
        assert_eq!(said, "  `fixtures/prebuilt/echo.wasm` is not recorded");
    }
}
