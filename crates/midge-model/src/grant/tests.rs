//! What grants read and refuse.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn dir(text: &str) -> String {
    match text.parse::<DirGrant>() {
        Ok(grant) => format!("ok: {grant}"),
        Err(error) => format!("error: {error}"),
    }
}

fn env(text: &str) -> String {
    match text.parse::<EnvVar>() {
        Ok(EnvVar { name, value }) => format!("ok: {name} is {value:?}"),
        Err(error) => format!("error: {error}"),
    }
}

fn together(dirs: &[&str]) -> String {
    let dirs = dirs.iter().filter_map(|text| text.parse().ok()).collect();
    let grants = Grants {
        dirs,
        ..Grants::default()
    };
    match grants.check() {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_directory_is_read_only_unless_it_says_otherwise() {
    assert_snapshot!(dir("./data:/data"), @"ok: ./data:/data:ro");
    assert_snapshot!(dir("./data:/data:rw"), @"ok: ./data:/data:rw");
    assert_snapshot!(dir("/srv/a:b:/data/:ro"), @"ok: /srv/a:b:/data:ro");
    assert_snapshot!(dir(".:/"), @"ok: .:/:ro");
}

#[test]
fn a_directory_grant_says_what_is_missing() {
    assert_snapshot!(dir("./data"), @"error: directory `./data` does not say where the guest sees it, write for example `./data:/data`");
    assert_snapshot!(dir("./data:ro"), @"error: directory `./data:ro` does not say where the guest sees it, write for example `./data:/data`");
    assert_snapshot!(dir(":/data"), @"error: directory `:/data` does not say which host directory, write for example `./data:/data`");
    assert_snapshot!(dir(""), @"error: directory `` does not say where the guest sees it, write for example `./data:/data`");
    assert_snapshot!(dir("./data:/data:rx"), @"error: mode `rx` is unknown, write `ro` (read only) or `rw` (read and write)");
}

#[test]
fn a_guest_path_cannot_climb() {
    assert_snapshot!(dir("./data:data"), @"error: guest path `data` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(dir("./data:/data/../etc"), @"error: guest path `/data/../etc` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(dir("./data:/./x:rw"), @"error: guest path `/./x` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(dir("./data://x"), @"error: guest path `//x` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(dir("./da\0ta:/x"), @r"error: path `./da\0ta` contains a zero byte");
}

#[test]
fn a_variable_has_a_name_and_a_value() {
    assert_snapshot!(env("LOG=info"), @r#"ok: LOG is "info""#);
    assert_snapshot!(env("_A1=b=c"), @r#"ok: _A1 is "b=c""#);
    assert_snapshot!(env("EMPTY="), @r#"ok: EMPTY is """#);
    assert_snapshot!(env("LOG"), @"error: environment variable `LOG` has no `=`, write for example `LOG=value`");
    assert_snapshot!(env("=x"), @"error: environment variable name `` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(env("A-B=x"), @"error: environment variable name `A-B` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(env("A=\0"), @"error: value of environment variable `A` contains a zero byte");
    assert_snapshot!(env(&format!("A={}", "x".repeat(40_000))), @"error: value of environment variable `A` has 40000 bytes, the longest has 32768");
}

#[test]
fn directories_apart_stand_together() {
    assert_snapshot!(together(&["./a:/a:ro", "./b:/b:rw"]), @"ok");
    assert_snapshot!(together(&["./a:/a:ro", "./a/b:/b:ro"]), @"ok");
    assert_snapshot!(together(&["./ab:/a:ro", "./a:/b:rw"]), @"ok");
}

#[test]
fn one_guest_path_shows_one_directory() {
    assert_snapshot!(together(&["./a:/x", "./b:/x/"]), @"error: directories `./a:/x:ro` and `./b:/x:ro` have the same guest path, give one another path");
}

#[test]
fn one_tree_has_one_mode() {
    assert_snapshot!(together(&["/srv/data:/a:ro", "/srv/data/in:/b:rw"]), @"error: directories `/srv/data:/a:ro` and `/srv/data/in:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
    assert_snapshot!(together(&["./data/in/..:/a:ro", "data:/b:rw"]), @"error: directories `./data/in/..:/a:ro` and `data:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
    assert_snapshot!(together(&["/:/a:ro", "/../srv:/b:rw"]), @"error: directories `/:/a:ro` and `/../srv:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
    assert_snapshot!(together(&[".:/a:ro", "./x:/b:rw"]), @"error: directories `.:/a:ro` and `./x:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
}

proptest! {
    #[test]
    fn a_directory_grant_survives_its_own_text(
        host in "[a-z./:]{1,12}",
        guest in "(/[a-z.]{1,4}){1,3}",
        writable in any::<bool>(),
    ) {
        let mode = if writable { DirMode::ReadWrite } else { DirMode::ReadOnly };
        if let Ok(grant) = DirGrant::new(&host, &guest, mode) {
            prop_assert_eq!(grant.to_string().parse(), Ok(grant.clone()));
            let json = serde_json::to_string(&grant).unwrap();
            prop_assert_eq!(serde_json::from_str::<DirGrant>(&json).unwrap(), grant);
        }
    }

    #[test]
    fn no_text_makes_a_guest_path_that_climbs(text in "[a-z./:\0]{0,30}(:ro|:rw)?") {
        if let Ok(grant) = text.parse::<DirGrant>() {
            prop_assert!(grant.guest.starts_with('/'), "{}", grant);
            prop_assert!(grant.guest.split('/').all(|part| part != ".." && part != "."), "{}", grant);
            prop_assert!(text.ends_with(":rw") == (grant.mode == DirMode::ReadWrite));
        }
    }

    #[test]
    fn never_panics(text in any::<String>()) {
        let _dir = text.parse::<DirGrant>();
        let _env = text.parse::<EnvVar>();
    }
}
