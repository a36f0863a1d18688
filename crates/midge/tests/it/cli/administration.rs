//! Secrets, tokens, contexts, namespaces and the store.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use midge_testkit::MidgeBuilder;
use midge_testkit::http::get;

use super::{Node, path, stdout};
use crate::kit::BINARY;

#[test]
fn a_secret_comes_from_a_pipe_or_a_file_and_is_never_printed() {
    let node = Node::start();
    let token = node.token();
    let set = node
        .prepare(&token, &["secret", "set", "KEY"])
        .stdin(b"hunter2\n");
    assert_snapshot!(node.shown(set), @r"
    exit: 0
    --- stdout
    --- stderr
    set KEY in namespace default
    ");
    fs::write(node.home.path().join("key"), "hunter3\n").unwrap();
    let warned = node.run(&["secret", "set", "KEY", "@key"]);
    assert!(
        warned.contains("set KEY in namespace default again (value 2)"),
        "{warned}"
    );
    assert_snapshot!(node.run(&["secret", "list"]), @r"
    exit: 0
    --- stdout
    KEY  2  TIME  first admin  -
    --- stderr
    ");
    assert_snapshot!(node.run(&["secret", "rotate-key"]), @r"
    exit: 0
    --- stdout
    --- stderr
    key ID seals 1 secret now
    ");
    assert_snapshot!(node.run(&["secret", "remove", "KEI"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: namespace `default` has no secret `KEI`

    hint: did you mean `KEY`?
    ");
    assert_snapshot!(node.run(&["secret", "remove", "KEY"]), @r"
    exit: 0
    --- stdout
    --- stderr
    removed KEY from namespace default
    ");
    let all = node.run(&["audit", "--json"]) + &node.run(&["secret", "list", "--json"]);
    assert!(!all.contains("hunter"), "{all}");
}

#[test]
fn a_token_does_what_its_role_says_until_it_is_revoked() {
    let node = Node::start();
    let made = node.run(&[
        "token", "create", "look", "--role", "viewer", "-n", "default",
    ]);
    let viewer = stdout(&made).trim().to_owned();
    assert!(viewer.starts_with("mdg_"), "{made}");
    assert_snapshot!(node.run_as(&viewer, &["list"]), @r"
    exit: 0
    --- stdout
    --- stderr
    no functions in namespace default
    ");
    assert_snapshot!(node.run_as(&viewer, &["deploy", &path("http02-tiny.wasm")]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: plan http02-tiny: role `viewer` may not plan
    ");
    assert_snapshot!(node.run_as(&viewer, &["namespace", "create", "shop"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: role `viewer` may not create namespace
    ");
    assert_snapshot!(node.run(&["token", "list"]), @r"
        exit: 0
        --- stdout
        ID  first admin  admin   *        no  TIME  -  TIME
        ID  look         viewer  default  no  TIME  -  TIME
        --- stderr
        ");
    assert_snapshot!(node.run(&["token", "revoke", "look"]), @r"
    exit: 0
    --- stdout
    --- stderr
    revoked token ID (look), viewer in namespace default
    ");
    assert_snapshot!(node.run_as(&viewer, &["list"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: a token is needed that is known, not expired and not revoked

    hint: midge login CONTROL
    ");
}

#[test]
fn who_logged_in_needs_no_environment() {
    let node = Node::start();
    let url = node.midge.control();
    let plain = |args: &[&str]| node.prepare_bare(args);
    let wrong = plain(&["login", &url]).stdin(b"mdg_wrong\n");
    assert_snapshot!(node.shown(wrong), @"
    exit: 1
    --- stdout
    --- stderr
    error: a token is needed that is known, not expired and not revoked

    hint: who has one already makes another with `midge token create NAME --role deployer`;
        the first stands in `admin.token`, in the folder of the node's store
    ");
    let token = format!("{}\n", node.token());
    let login = plain(&["login", &url, "--name", "here"]).stdin(token.as_bytes());
    assert_snapshot!(node.shown(login), @r"
    exit: 0
    --- stdout
    --- stderr
    logged in to CONTROL as first admin (admin); context here
    ");
    let file = node.home.path().join("midge/contexts.toml");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_snapshot!(node.shown(plain(&["list"])), @r"
    exit: 0
    --- stdout
    --- stderr
    no functions in namespace default
    ");
    assert_snapshot!(node.shown(plain(&["context", "list"])), @r"
    exit: 0
    --- stdout
    *  here  CONTROL  -  yes
    --- stderr
    ");
}

#[test]
fn a_namespace_is_a_room_with_a_quota() {
    let node = Node::start();
    assert_snapshot!(node.run(&["namespace", "create", "shop"]), @r"
    exit: 0
    --- stdout
    --- stderr
    made namespace shop
    ");
    assert_snapshot!(node.run(&["quota", "set", "-n", "shop", "functions=1"]), @r"
    exit: 0
    --- stdout
    functions        1
    component-bytes  64GiB
    secrets          1000
    tokens           1000
    --- stderr
    set the quota of namespace shop
    ");
    assert_snapshot!(node.run(&["quota", "set", "-n", "shop", "function=1"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'function=1' for '<NAME=VALUE>...': quota `function` is unknown, did you mean `functions`?

    For more information, try '--help'.
    ");
    let deploy = |name: &str| node.run(&["deploy", &path(name), "-n", "shop"]);
    deploy("http02-tiny.wasm");
    assert_snapshot!(deploy("http02-log.wasm"), @r"
    exit: 1
    --- stdout
    --- stderr
    new        http02-log  http://shop.localhost:PORT/http02-log
      + route  /http02-log/*
    error: deploy http02-log: namespace `shop` has no room for more functions: its quota is 1

    hint: ask an admin of the node for `midge quota set functions=… -n shop`
    ");
    assert_snapshot!(node.run(&["namespace", "remove", "shop"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: namespace `shop` is not empty, it has function `http02-tiny`

    hint: midge remove http02-tiny --namespace shop
    ");
    assert_snapshot!(node.run(&["list", "-n", "shp"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: there is no namespace `shp`

    hint: did you mean `shop`?
    ");
    node.run(&["remove", "http02-tiny", "-n", "shop"]);
    assert_snapshot!(node.run(&["namespace", "remove", "shop"]), @r"
    exit: 0
    --- stdout
    --- stderr
    removed namespace shop
    ");
    assert_snapshot!(node.run(&["namespace", "list"]), @r"
    exit: 0
    --- stdout
    default  TIME  functions=20000 component-bytes=64GiB secrets=1000 tokens=1000
    --- stderr
    ");
    assert_snapshot!(node.run(&["audit", "--last", "3"]), @r"
    exit: 0
    --- stdout
    TIME  first admin  127.0.0.1  delete_namespace  shop  shop         done
    TIME  first admin  127.0.0.1  remove_function   shop  http02-tiny  done
    TIME  first admin  127.0.0.1  delete_namespace  shop  shop         refused:conflict
    --- stderr
    ");
}

#[tokio::test]
async fn a_store_is_checked_and_backed_up_beside_its_node_and_restored() {
    let node = Node::start();
    node.deploy("http02-tiny.wasm");
    let store = |args: &[&str]| node.run(&[&["store"], args].concat());
    let checked = store(&["check", "--store", "store"]);
    assert!(checked.starts_with("exit: 0\n"), "{checked}");
    assert!(
        checked.ends_with("--- stderr\nthe store is sound\n"),
        "{checked}"
    );
    let backup = store(&["backup", "backup.tar", "--store", "store"]);
    assert!(backup.starts_with("exit: 0\n"), "{backup}");
    let file = node.home.path().join("backup.tar");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_snapshot!(store(&["backup", "backup.tar", "--store", "store"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `backup.tar` is there already, give another name
    ");
    let restored = store(&["restore", "backup.tar", "--store", "other"]);
    assert!(restored.starts_with("exit: 0\n"), "{restored}");
    let other = MidgeBuilder::serve(BINARY, &node.home.path().join("other")).start();
    let answer = get(other.addr(), "/http02-tiny").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_snapshot!(store(&["restore", "backup.tar", "--store", "other"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: there is a store in `other` already, move it away or give another folder
    ");
}

#[test]
fn values_are_set_shown_listed_and_deleted() {
    let node = Node::start();
    assert_snapshot!(node.run(&["kv", "list"]), @r"
    exit: 0
    --- stdout
    --- stderr
    no values in namespace default
    ");
    assert_snapshot!(node.run(&["kv", "set", "carts", "a", "one"]), @r"
    exit: 0
    --- stdout
    --- stderr
    set a in bucket carts, 3B
    ");
    let token = node.token();
    let piped = node
        .prepare(&token, &["kv", "set", "carts", "b/c", "-"])
        .stdin(b"\0two\n");
    assert_snapshot!(node.shown(piped), @r"
    exit: 0
    --- stdout
    --- stderr
    set b/c in bucket carts, 5B
    ");
    fs::write(node.home.path().join("value"), "three").unwrap();
    node.run(&["kv", "set", "carts", "c", "@value"]);
    assert_snapshot!(node.run(&["kv", "get", "carts", "c"]), @r"
    exit: 0
    --- stdout
    three--- stderr
    ");
    assert_snapshot!(node.run(&["kv", "list", "carts"]), @r"
    exit: 0
    --- stdout
    a
    b/c
    c
    --- stderr
    ");
    assert_snapshot!(node.run(&["kv", "list", "carts", "--json"]), @r#"
    exit: 0
    --- stdout
    {"key":"a"}
    {"key":"b/c"}
    {"key":"c"}
    --- stderr
    "#);
    assert_snapshot!(node.run(&["kv", "list"]), @r"
    exit: 0
    --- stdout
    carts  3  18B
    --- stderr
    ");
}

#[test]
fn values_are_not_lost_by_a_slip() {
    let node = Node::start();
    for key in ["a", "c"] {
        node.run(&["kv", "set", "carts", key, "three"]);
    }
    assert_snapshot!(node.run(&["kv", "get", "carts", "d"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: bucket `carts` of namespace `default` has no key `d`

    hint: midge kv list carts --namespace default
    ");
    assert_snapshot!(node.run(&["kv", "get", "Carts", "d"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'Carts' for '<BUCKET>': bucket `Carts` is not 1 to 63 of `a`-`z`, `0`-`9`, `-` and `_`

    For more information, try '--help'.
    ");
    assert_snapshot!(node.run(&["kv", "delete", "carts", "a"]), @r"
    exit: 0
    --- stdout
    --- stderr
    deleted a from bucket carts
    ");
    assert_snapshot!(node.run(&["kv", "delete", "carts"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: everything in bucket `carts` would be forgotten, and nobody said yes

    hint: name a key, or type: midge kv delete carts --yes
    ");
    assert_snapshot!(node.run(&["kv", "delete", "carts", "--yes"]), @r"
    exit: 0
    --- stdout
    --- stderr
    nothing is left in bucket carts of namespace default
    ");
    assert_snapshot!(node.run(&["kv", "list", "carts"]), @r"
    exit: 0
    --- stdout
    --- stderr
    no keys in bucket carts of namespace default
    ");
    let viewer = node.run(&[
        "token", "create", "look", "--role", "viewer", "-n", "default",
    ]);
    let viewer = stdout(&viewer).trim().to_owned();
    assert_snapshot!(node.run_as(&viewer, &["kv", "set", "carts", "a", "one"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: role `viewer` may not put entry
    ");
    let audit = node.run(&["audit", "--json"]);
    assert!(
        audit.contains("put_entry") && audit.contains("carts/a"),
        "{audit}"
    );
    assert!(!audit.contains("three"), "{audit}");
}
