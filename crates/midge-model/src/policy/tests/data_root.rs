//! Folders that the node keeps for its namespaces.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{policy, shop, verdicts};
use crate::policy::{Policy, data_path};
use crate::{DirGrant, DirMode, Grants};

const ROOT: &str = "/store/data";

fn path(written: &str) -> String {
    match data_path(Path::new(ROOT), &shop(), Path::new(written)) {
        Ok(path) => path.display().to_string(),
        Err(error) => format!("error: {error}"),
    }
}

fn dirs(dirs: &[&str]) -> Grants {
    Grants {
        dirs: dirs.iter().map(|text| text.parse().unwrap()).collect(),
        ..Grants::default()
    }
}

#[test]
fn a_relative_path_lies_in_the_namespaces_folder() {
    assert_snapshot!(path("./data"), @"/store/data/shop/data");
    assert_snapshot!(path("a//./b/"), @"/store/data/shop/a/b");
    assert_snapshot!(path("."), @"/store/data/shop");
    assert_snapshot!(path("/srv/shop"), @"/srv/shop");
    assert_snapshot!(path("../other"), @"error: host folder `../other` has a `..`, write where it is below the namespace's data folder, such as `./data`");
    assert_snapshot!(path("a/../b"), @"error: host folder `a/../b` has a `..`, write where it is below the namespace's data folder, such as `./data`");
}

#[test]
fn a_namespace_has_its_own_folder_and_no_others() {
    let default = Policy::serve_default().with_data_root(Path::new(ROOT));
    assert_snapshot!(verdicts(&default, &dirs(&[
        "/store/data/shop:/all:rw", "/store/data/shop/in/../out:/out:ro",
    ])), @r"
    allowed dirs /store/data/shop:/all:rw
        the namespace's own folder /store/data/shop
    allowed dirs /store/data/shop/in/../out:/out:ro
        the namespace's own folder /store/data/shop
    ");
    assert_snapshot!(verdicts(&default, &dirs(&[
        "/store/data/shop2:/a:ro", "/store/data/other:/b:ro", "/store/data:/c:ro",
        "/store/data/shop/../other:/d:ro", "shop:/e:ro",
    ])), @r#"
    REFUSED dirs /store/data/shop2:/a:ro
        no `dirs` in the default policy: no host folder
        hint: write a relative path, which lies in /store/data/shop, or write `dirs = [{ host = "/store/data/shop2", mode = "ro" }]` below [namespace.shop] in a file for `--policy`
    REFUSED dirs /store/data/other:/b:ro
        no `dirs` in the default policy: no host folder
        hint: write a relative path, which lies in /store/data/shop, or write `dirs = [{ host = "/store/data/other", mode = "ro" }]` below [namespace.shop] in a file for `--policy`
    REFUSED dirs /store/data:/c:ro
        no `dirs` in the default policy: no host folder
        hint: write a relative path, which lies in /store/data/shop, or write `dirs = [{ host = "/store/data", mode = "ro" }]` below [namespace.shop] in a file for `--policy`
    REFUSED dirs /store/data/shop/../other:/d:ro
        no `dirs` in the default policy: no host folder
        hint: write a relative path, which lies in /store/data/shop, or write `dirs = [{ host = "/store/data/other", mode = "ro" }]` below [namespace.shop] in a file for `--policy`
    REFUSED dirs shop:/e:ro
        no `dirs` in the default policy: no host folder
        hint: write where the host folder is from `/` on: a policy holds wherever it is read
    "#);
}

#[test]
fn a_namespaces_folder_is_beside_what_the_policy_says() {
    let text =
        "[namespace.\"*\"]\ndirs = [{ host = \"/srv\" }, { host = \"/store/data/shop/ro\" }]";
    let policy = policy(text).with_data_root(Path::new(ROOT));
    assert_snapshot!(verdicts(&policy, &dirs(&[
        "/srv/a:/a:ro", "/srv/b:/b:rw", "/store/data/shop/ro:/c:rw", "/store/data/shop/ro:/d:ro", "/etc:/e:ro",
    ])), @r#"
    allowed dirs /srv/a:/a:ro
        policy.toml line 2: dirs = [{ host = "/srv", mode = "ro" }]
    REFUSED dirs /srv/b:/b:rw
        policy.toml line 2: dirs = [{ host = "/srv", mode = "ro" }, { host = "/store/data/shop/ro", mode = "ro" }]
        hint: write `mode = "ro"` in the manifest, or add { host = "/srv/b", mode = "rw" } to `dirs` in line 2 of policy.toml
    allowed dirs /store/data/shop/ro:/c:rw
        the namespace's own folder /store/data/shop
    allowed dirs /store/data/shop/ro:/d:ro
        policy.toml line 2: dirs = [{ host = "/store/data/shop/ro", mode = "ro" }]
    REFUSED dirs /etc:/e:ro
        policy.toml line 2: dirs = [{ host = "/srv", mode = "ro" }, { host = "/store/data/shop/ro", mode = "ro" }]
        hint: write a relative path, which lies in /store/data/shop, or add { host = "/etc", mode = "ro" } to `dirs` in line 2 of policy.toml
    "#);
}

#[test]
fn a_policy_of_a_node_without_a_data_root_is_read_as_before() {
    let policy = Policy::serve_default();
    let json = serde_json::to_string(&policy).unwrap();
    assert!(!json.contains("data_root"));
    let policy = policy.with_data_root(Path::new(ROOT));
    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
}

proptest! {
    /// Whatever relative path is written, the folder that it leads to is allowed, and lies in
    /// the namespace's own.
    #[test]
    fn a_relative_path_never_leaves_its_namespace(written in "[a-z./]{1,12}", writable in any::<bool>()) {
        let Ok(path) = data_path(Path::new(ROOT), &shop(), Path::new(&written)) else {
            prop_assert!(written.split('/').any(|part| part == ".."));
            return Ok(());
        };
        if Path::new(&written).is_absolute() {
            prop_assert_eq!(path, PathBuf::from(written));
            return Ok(());
        }
        prop_assert!(path.starts_with("/store/data/shop"), "{}", path.display());
        let mode = if writable { DirMode::ReadWrite } else { DirMode::ReadOnly };
        let mut grants = Grants::default();
        grants.dirs.push(DirGrant::new(path.to_str().unwrap(), "/x", mode).unwrap());
        let policy = Policy::serve_default().with_data_root(Path::new(ROOT));
        let limits = crate::Limits::SAFE;
        prop_assert!(policy.check(&shop(), &grants, &limits).iter().all(|verdict| verdict.allowed));
        let other = "other".parse().unwrap();
        prop_assert!(!policy.check(&other, &grants, &limits).iter().all(|verdict| verdict.allowed));
    }
}
