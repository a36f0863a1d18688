//! What manifests and flags come to together.

use std::fs;

use insta::assert_snapshot;
use midge_model::{DirGrant, DirMode, LimitsPatch};

use super::*;

/// What comes of this manifest, in a folder that also has a folder `data`.
fn check(manifest: &str, typed: &Overrides) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MANIFEST), manifest).unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let text = match read(folder.path(), typed, &Policy::operator()) {
        Ok(functions) => functions
            .iter()
            .map(describe)
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => {
            let error = crate::cmd::fault::hinted(error);
            let hint = crate::cmd::fault::hint_of(&error)
                .unwrap_or("none")
                .to_owned();
            format!("{error:#}\nhint: {hint}")
        }
    };
    let real = folder.path().canonicalize().unwrap();
    text.replace(&*real.to_string_lossy(), "FOLDER")
}

fn describe(function: &Function) -> String {
    let Function {
        name,
        component,
        routes,
        limits,
        isolation: _,
        grants,
        secrets: _,
    } = function;
    let routes: Vec<_> = routes.iter().map(ToString::to_string).collect();
    let dirs: Vec<_> = grants.dirs.iter().map(ToString::to_string).collect();
    format!(
        "{name} {} {routes:?} time={:?} concurrency={} {:?} {dirs:?}",
        component, limits.time, limits.concurrency, grants.env,
    )
}

fn typed(time_secs: Option<u64>, env: &[(&str, &str)], dirs: &[&str]) -> Overrides {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Overrides {
        limits: LimitsPatch {
            time: time_secs.map(std::time::Duration::from_secs),
            ..LimitsPatch::default()
        },
        grants: Grants {
            env: env.iter().map(own).collect(),
            dirs: dirs.iter().map(|dir| dir.parse().unwrap()).collect(),
            ..Grants::default()
        },
        ..Overrides::default()
    }
}

const HELLO: &str = r#"
    [function.hello]
    component = "hello.wasm"
    limits = { time = "3s", concurrency = 7 }
    env = { LOG = "info", KEPT = "yes" }
    allow = { dirs = [{ host = "data", guest = "/data", mode = "rw" }] }
"#;

#[test]
fn paths_in_a_manifest_start_from_its_folder() {
    assert_snapshot!(check(HELLO, &Overrides::default()), @r#"hello FOLDER/hello.wasm ["/hello/*"] time=3s concurrency=7 {"KEPT": "yes", "LOG": "info"} ["FOLDER/data:/data:rw"]"#);
}

#[test]
fn flags_go_over_the_manifest() {
    let typed = typed(Some(1), &[("LOG", "debug")], &["/:/data:ro"]);
    assert_snapshot!(check(HELLO, &typed), @r#"hello FOLDER/hello.wasm ["/hello/*"] time=1s concurrency=7 {"KEPT": "yes", "LOG": "debug"} ["/:/data:ro"]"#);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    assert_snapshot!(check(HELLO, &typed(None, &[], &["/no/such:/x"])), @r"
    function hello: open folder `/no/such`: No such file or directory (os error 2)
    hint: mkdir -p /no/such
    ");
}

#[test]
fn one_tree_is_not_granted_in_two_modes_under_two_names() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    let read_only = DirGrant::new("/", "/a", DirMode::ReadOnly).unwrap();
    let writable = DirGrant::new(&link.to_string_lossy(), "/data", DirMode::ReadWrite).unwrap();
    let typed = Overrides {
        grants: Grants {
            dirs: vec![read_only, writable],
            ..Grants::default()
        },
        ..Overrides::default()
    };
    assert_snapshot!(check(HELLO, &typed), @r"
    function hello: directories `/:/a:ro` and `/:/data:rw` share host files but not the mode, give both the same mode or keep the trees apart
    hint: none
    ");
}

#[test]
fn a_single_file_is_the_whole_site() {
    let file = tempfile::Builder::new()
        .prefix("Hello_")
        .suffix(".wasm")
        .tempfile()
        .unwrap();
    let functions = read(file.path(), &Overrides::default(), &Policy::operator()).unwrap();
    assert_eq!(functions.len(), 1);
    assert_eq!(functions[0].routes, ["/*".parse().unwrap()]);
}

#[test]
fn a_folder_without_a_manifest_says_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path(), &Overrides::default(), &Policy::operator()).unwrap_err();
    assert!(matches!(error, FunctionsError::NoManifest { .. }));
    assert!(error.hint().unwrap().contains("[function.hello]"));
}
