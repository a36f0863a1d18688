//! The interface texts (WIT) of a project, and those that Midge brings along.
//!
//! A project writes its world into `wit/`; the packages that it names go into `wit/deps`. Those that
//! Midge knows are put there by it, so that nobody has to fetch them: WASI 0.2 and 0.3, key-value
//! and Spin's. An older WASI 0.2 that a tool insists on is the same text under the older number,
//! as far as it is older: interfaces of a minor line only grow.
//!
//! **Invariant:** a file that lies in `wit/deps` already is never changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use semver::Version;
use wit_parser::{PackageName, Resolve, UnresolvedPackageGroup, WorldId};

use crate::error::BuildError;

/// The texts that the binary brings along, each of one package.
const TEXTS: &[&str] = include!(concat!(env!("OUT_DIR"), "/packages.rs"));

/// The world of a project that has no `wit/`: an HTTP handler and what WASI offers it.
const DEFAULT_WORLD: &str = "\
package midge:project;

world http {
  include wasi:http/proxy@0.2.12;
}
";

/// The interface texts of a project, complete.
#[derive(Debug)]
pub(crate) struct Interfaces {
    /// The folder that tools are given.
    pub(crate) folder: PathBuf,
    /// The world's name.
    pub(crate) world: String,
    resolve: Resolve,
    id: WorldId,
}

/// A package that the binary knows.
struct Known {
    text: &'static str,
    name: PackageName,
}

impl Interfaces {
    /// Those in `folder`; what they name and lack is put into `deps` below it. Where there is no
    /// such folder, `scratch` gets a world that fits every HTTP handler, in this WASI version.
    pub(crate) fn complete(
        folder: &Path,
        scratch: &Path,
        default_version: &str,
    ) -> Result<Self, BuildError> {
        if folder.is_dir() {
            return Self::fill(folder);
        }
        let folder = scratch.join("wit");
        let deps = folder.join("deps");
        // Ours from an earlier build, perhaps of an earlier Midge.
        if folder.is_dir() {
            fs::remove_dir_all(&folder).map_err(BuildError::files("empty", &folder))?;
        }
        fs::create_dir_all(&deps).map_err(BuildError::files("make", &deps))?;
        let file = folder.join("world.wit");
        let text = DEFAULT_WORLD.replace("0.2.12", default_version);
        fs::write(&file, text).map_err(BuildError::files("write", &file))?;
        Self::fill(&folder)
    }

    fn fill(folder: &Path) -> Result<Self, BuildError> {
        let bad = |reason: String, hint: Option<String>| BuildError::BadInterfaces {
            folder: folder.to_owned(),
            reason,
            hint,
        };
        let deps = folder.join("deps");
        let own = parse_folder(folder).map_err(|reason| bad(reason, None))?;
        let mut there = packages_in(&deps).map_err(|reason| bad(reason, None))?;
        let mut wanted: Vec<PackageName> = named_by(&own);
        for group in &there.groups {
            wanted.extend(named_by(group));
        }
        while let Some(name) = wanted.pop() {
            if !there.names.insert(name.to_string()) {
                continue;
            }
            let Some(text) = text_of(&name) else {
                let hint = format!("put its text into `{}/{}.wit`", deps.display(), name.name);
                return Err(bad(format!("no package `{name}` is known"), Some(hint)));
            };
            fs::create_dir_all(&deps).map_err(BuildError::files("make", &deps))?;
            let file = deps.join(file_name(&name));
            fs::write(&file, &text).map_err(BuildError::files("write", &file))?;
            let group = parse(&file, &text).map_err(|reason| bad(reason, None))?;
            wanted.extend(named_by(&group));
        }
        let mut resolve = Resolve::new();
        resolve.all_features = true;
        let (package, _) = resolve
            .push_dir(folder)
            .map_err(|error| bad(format!("{error:#}"), None))?;
        let id = resolve.select_world(&[package], None).map_err(|error| {
            let hint = "one world is what the function is; keep the others elsewhere".to_owned();
            bad(format!("{error:#}"), Some(hint))
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            world: resolve.worlds[id].name.clone(),
            resolve,
            id,
        })
    }

    /// What the encoder and the generators of bindings work on.
    pub(crate) fn resolved(&self) -> (&Resolve, WorldId) {
        (&self.resolve, self.id)
    }
}

/// What lies in `deps` before anything is added.
struct There {
    names: BTreeSet<String>,
    groups: Vec<UnresolvedPackageGroup>,
}

fn packages_in(deps: &Path) -> Result<There, String> {
    let mut there = There {
        names: BTreeSet::new(),
        groups: Vec::new(),
    };
    let Ok(entries) = fs::read_dir(deps) else {
        return Ok(there);
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let group = if path.is_dir() {
            parse_folder(&path)?
        } else if path.extension().is_some_and(|extension| extension == "wit") {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            parse(&path, &text)?
        } else {
            continue;
        };
        there.names.insert(group.main.name.to_string());
        let nested = group.nested.iter().map(|package| package.name.to_string());
        there.names.extend(nested);
        there.groups.push(group);
    }
    Ok(there)
}

fn parse(path: &Path, text: &str) -> Result<UnresolvedPackageGroup, String> {
    UnresolvedPackageGroup::parse(path, text).map_err(|(map, error)| error.render(&map))
}

fn parse_folder(folder: &Path) -> Result<UnresolvedPackageGroup, String> {
    UnresolvedPackageGroup::parse_dir(folder).map_err(|error| format!("{error:#}"))
}

/// The packages that these texts name and do not define.
fn named_by(group: &UnresolvedPackageGroup) -> Vec<PackageName> {
    let packages = std::iter::once(&group.main).chain(&group.nested);
    let named = packages.flat_map(|package| package.foreign_deps.keys().cloned());
    let own: Vec<_> = std::iter::once(&group.main)
        .chain(&group.nested)
        .map(|package| &package.name)
        .collect();
    named.filter(|name| !own.contains(&name)).collect()
}

/// The text of a package, under the number that was asked for.
fn text_of(name: &PackageName) -> Option<String> {
    let known = TEXTS.iter().filter_map(|text| known(text));
    for Known { text, name: found } in known {
        if found == *name {
            return Some(text.to_owned());
        }
        if let (Some(found), Some(asked)) = (&found.version, &name.version)
            && is_older_of_line(found, asked)
            && text_is_of(text, name)
        {
            return Some(text.replace(&found.to_string(), &asked.to_string()));
        }
    }
    None
}

/// Whether `asked` is an older release of the line that `found` is the newest of.
fn is_older_of_line(found: &Version, asked: &Version) -> bool {
    (found.major, found.minor) == (asked.major, asked.minor)
        && found.pre.is_empty()
        && asked.pre.is_empty()
        && asked < found
}

fn text_is_of(text: &str, name: &PackageName) -> bool {
    known(text).is_some_and(|known| {
        (&known.name.namespace, &known.name.name) == (&name.namespace, &name.name)
    })
}

/// Reads the first line that says which package a text is.
fn known(text: &str) -> Option<Known> {
    let line = text.lines().find(|line| line.starts_with("package "))?;
    let words = line.strip_prefix("package ")?.trim_end_matches(';').trim();
    let (id, version) = match words.split_once('@') {
        Some((id, version)) => (id, Some(version.parse().ok()?)),
        None => (words, None),
    };
    let (namespace, name) = id.split_once(':')?;
    let text = TEXTS.iter().find(|known| **known == text)?;
    Some(Known {
        text,
        name: PackageName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version,
        },
    })
}

fn file_name(name: &PackageName) -> String {
    let version = name.version.as_ref().map(|version| format!("-{version}"));
    let version = version.unwrap_or_default();
    format!("{}-{}{version}.wit", name.namespace, name.name)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    /// Completes a world, and lists what lies in `deps` then.
    fn check(world: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let wit = folder.path().join("wit");
        fs::create_dir(&wit).unwrap();
        fs::write(wit.join("world.wit"), world).unwrap();
        match Interfaces::complete(&wit, folder.path(), "0.2.12") {
            Ok(interfaces) => {
                let mut files: Vec<_> = fs::read_dir(wit.join("deps"))
                    .into_iter()
                    .flatten()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                files.sort();
                format!("{}: {}", interfaces.world, files.join(" "))
            }
            Err(error) => {
                let text = format!("{error} | {}", error.hint().unwrap_or_default());
                text.replace(&folder.path().display().to_string(), "")
            }
        }
    }

    #[test]
    fn what_a_world_names_is_put_beside_it() {
        assert_snapshot!(
            check("package a:b; world w { include wasi:http/proxy@0.2.12; }"),
            @"w: wasi-cli-0.2.12.wit wasi-clocks-0.2.12.wit wasi-filesystem-0.2.12.wit wasi-http-0.2.12.wit wasi-io-0.2.12.wit wasi-random-0.2.12.wit wasi-sockets-0.2.12.wit"
        );
        assert_snapshot!(
            check("package a:b; world w { import wasi:clocks/wall-clock@0.2.4; }"),
            @"w: wasi-clocks-0.2.4.wit wasi-io-0.2.4.wit"
        );
        assert_snapshot!(
            check("package a:b; world w { include wasi:http/service@0.3.0; }"),
            @"w: wasi-cli-0.3.0.wit wasi-clocks-0.3.0.wit wasi-filesystem-0.3.0.wit wasi-http-0.3.0.wit wasi-random-0.3.0.wit wasi-sockets-0.3.0.wit"
        );
        assert_snapshot!(
            check("package a:b; world w { import wasi:keyvalue/store@0.2.0-draft2; }"),
            @"w: wasi-keyvalue-0.2.0-draft2.wit"
        );
    }

    #[test]
    fn what_nobody_knows_is_named() {
        assert_snapshot!(
            check("package a:b; world w { import wasi:clocks/wall-clock@0.2.99; }"),
            @"read the interfaces in `/wit`: no package `wasi:clocks@0.2.99` is known | put its text into `/wit/deps/clocks.wit`"
        );
        assert_snapshot!(
            check("package a:b; world w { import acme:queue/send; }"),
            @"read the interfaces in `/wit`: no package `acme:queue` is known | put its text into `/wit/deps/queue.wit`"
        );
    }

    #[test]
    fn a_project_without_interfaces_gets_those_of_a_handler() {
        let folder = tempfile::tempdir().unwrap();
        let wit = folder.path().join("wit");
        let found = Interfaces::complete(&wit, &folder.path().join("build"), "0.2.10").unwrap();
        assert_eq!(found.world, "http");
        assert!(found.folder.join("deps/wasi-http-0.2.10.wit").is_file());
        assert!(!wit.exists(), "the project's own folders stay as they are");
    }
}
