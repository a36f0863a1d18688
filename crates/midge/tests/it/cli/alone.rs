//! Commands that talk to a node, where there is none: what is said before anything is sent, and
//! what is remembered.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use insta::assert_snapshot;
use midge_testkit::Run;

use crate::kit::{BINARY, midge, midge_in};

/// The URL of a port that nobody answers at.
fn nowhere() -> String {
    // Bound, so that nobody else gets the port, and closed again.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A run of somebody whose contexts are kept in this folder.
fn with_contexts(folder: &Path, args: &[&str]) -> String {
    Run::of(BINARY, args.iter().copied())
        .folder(folder)
        .env("XDG_CONFIG_HOME", folder)
        .to_end()
        .replace(&*folder.to_string_lossy(), "FOLDER")
}

#[test]
fn where_nobody_answers_it_says_how_to_start_a_node() {
    let url = nowhere();
    assert_snapshot!(midge(&["list", "--control", &url]).replace(&url, "URL"), @r"
    exit: 1
    --- stdout
    --- stderr
    error: no node answers at `URL`: Connection refused (os error 111)

    hint: start one here with `midge serve`, or name the one that you mean with --control URL
    ");
}

#[test]
fn a_control_address_without_a_scheme_is_bad_usage() {
    assert_snapshot!(midge(&["list", "--control", "127.0.0.1:8081"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value '127.0.0.1:8081' for '--control <URL>': control address `127.0.0.1:8081` does not say http or https, write for example `http://127.0.0.1:8081`

    For more information, try '--help'.
    ");
}

#[test]
fn the_environment_names_a_node_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = |url: &str| {
        Run::of(BINARY, ["show", "checkout"])
            .folder(folder.path())
            .env("MIDGE_CONTROL", url)
            .to_end()
    };
    let url = nowhere();
    assert!(run(&url).contains(&format!("no node answers at `{url}`")));
    assert_snapshot!(run("nonsense"), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read MIDGE_CONTROL: control address `nonsense` does not say http or https, write for example `http://nonsense`
    ");
}

#[test]
fn what_is_wrong_here_is_said_before_a_node_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let deploy = |args: &[&str]| midge_in(folder.path(), &[&["deploy"], args].concat());
    assert_snapshot!(deploy(&[]), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: folder `.` has no `midge.toml`

    hint: name a file, as in `midge deploy ./hello.wasm`, or write a midge.toml there:
        [function.hello]
        component = "hello.wasm"
    "#);
    assert_snapshot!(deploy(&["missing.wasm"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read `missing.wasm`: No such file or directory (os error 2)

    hint: midge deploy FILE.wasm, or a folder with a midge.toml
    ");
    fs::write(folder.path().join("notes.txt"), "This file").unwrap();
    assert_snapshot!(deploy(&["notes.txt"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function notes: `notes.txt`: this is not WebAssembly: it starts with `This fil`

    hint: give a `.wasm` or `.wat` file, as your compiler wrote it
    ");
}

#[test]
fn the_value_of_a_secret_is_not_taken_from_the_command_line() {
    assert_snapshot!(midge(&["secret", "set", "KEY=hunter2"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: the value of a secret is not typed on the command line, where every user of this machine can read it

      tip: `midge secret set KEY` asks for it, `midge secret set KEY @FILE` reads a file, and without a terminal it is read from stdin
    ");
    assert_snapshot!(midge(&["secret", "set", "KEY"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: stdin has no value for secret `KEY`
    ");
}

#[test]
fn a_node_that_was_not_reached_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let url = nowhere();
    let text = with_contexts(folder.path(), &["login", &url]);
    assert!(text.starts_with("exit: 1\n"), "{text}");
    assert!(!folder.path().join("midge/contexts.toml").exists());
    assert_snapshot!(with_contexts(folder.path(), &["context", "list"]), @r"
    exit: 0
    --- stdout
    --- stderr
    no contexts, `midge login URL` makes one
    ");
}

#[test]
fn contexts_are_chosen_by_name_and_show_no_token() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("midge")).unwrap();
    let file = folder.path().join("midge/contexts.toml");
    let contexts = "current = \"here\"\n\
                    [context.here]\nurl = \"http://127.0.0.1:1\"\n\
                    [context.prod]\nurl = \"https://a.example.net\"\ntoken = \"hunter2\"\n";
    fs::write(&file, contexts).unwrap();
    let run = |args: &[&str]| with_contexts(folder.path(), args);
    assert_snapshot!(run(&["context", "list"]), @r"
    exit: 0
    --- stdout
    *  here  http://127.0.0.1:1     -  no
    -  prod  https://a.example.net  -  yes
    --- stderr
    warning: other users may read your tokens in FOLDER/midge/contexts.toml, `chmod 600 FOLDER/midge/contexts.toml`
    ");
    assert_snapshot!(run(&["context", "use", "prd"]), @r"
    exit: 1
    --- stdout
    --- stderr
    warning: other users may read your tokens in FOLDER/midge/contexts.toml, `chmod 600 FOLDER/midge/contexts.toml`
    error: there is no context `prd`

    hint: did you mean `prod`?
    ");
    assert_snapshot!(run(&["context", "use", "prod", "-n", "shop"]), @r"
    exit: 0
    --- stdout
    --- stderr
    warning: other users may read your tokens in FOLDER/midge/contexts.toml, `chmod 600 FOLDER/midge/contexts.toml`
    commands talk to https://a.example.net, about namespace shop
    ");
    // Written anew, it is for its owner's eyes only, and nothing has to be said about it.
    assert_snapshot!(run(&["context", "show"]), @r"
    exit: 0
    --- stdout
    url        https://a.example.net
    namespace  shop
    token      yes
    --- stderr
    ");
    assert_snapshot!(run(&["context", "show", "--control", "https://b.example.net", "--json"]), @r#"
    exit: 0
    --- stdout
    {"url":"https://b.example.net","namespace":"default","has_token":false}
    --- stderr
    "#);
    assert_snapshot!(run(&["context", "remove", "prod"]), @r"
    exit: 0
    --- stdout
    --- stderr
    forgot context prod
    ");
    assert!(!fs::read_to_string(&file).unwrap().contains("hunter2"));
}

#[test]
fn a_store_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_snapshot!(midge_in(folder.path(), &["store", "check"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: there is no store in `.midge`

    hint: --store FOLDER, as given to `midge serve`
    ");
}
