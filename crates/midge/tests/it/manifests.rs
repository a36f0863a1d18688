//! What a person reads whose `midge.toml` is wrong: file, line, column, nearest word.

use std::fs::File;
use std::os::unix::fs::symlink;

use insta::assert_snapshot;

use crate::kit::{Site, midge_in};

/// The run of a folder with this manifest, which must be refused before it listens.
fn run(manifest: &str) -> String {
    let site = Site::written(manifest);
    midge_in(site.path(), &["run", "--listen", "127.0.0.1:0"])
}

#[test]
fn a_misspelt_key_is_refused_with_line_and_nearest_word() {
    let manifest =
        "[function.x]\ncomponent = \"x.wasm\"\n\n[function.x.limits]\nmemmory = \"64MiB\"\n";
    assert_snapshot!(run(manifest), @r"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 5, column 1: unknown key `memmory` in [function.x.limits], did you mean `memory`?
    ");
}

#[test]
fn an_unknown_unit_is_refused_with_line_and_column() {
    let manifest = "[function.x]\ncomponent = \"x.wasm\"\nlimits = { time = \"5 parsecs\" }\n";
    assert_snapshot!(run(manifest), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 3, column 19: `5 parsecs` is not a duration, write numbers and units such as `50ms` or `1m 30s`

    hint: quantities are text with a unit: `memory = "64MiB"`, `time = "5s"`
    "#);
}

#[test]
fn a_number_without_a_unit_is_refused() {
    let manifest = "[function.x]\ncomponent = \"x.wasm\"\nlimits = { memory = 64 }\n";
    assert_snapshot!(run(manifest), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 3, column 21: size `64` has no unit, write for example `64MiB`

    hint: quantities are text with a unit: `memory = "64MiB"`, `time = "5s"`
    "#);
}

#[test]
fn a_limit_out_of_bounds_names_the_bounds() {
    let manifest = "[function.x]\ncomponent = \"x.wasm\"\nlimits = { memory = \"8GiB\" }\n";
    assert_snapshot!(run(manifest), @r"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 3, column 21: memory of `8GiB` is out of range, write `64KiB` to `4GiB`
    ");
}

#[test]
fn routes_that_collide_are_refused_with_both_names() {
    let manifest = r#"
[function.one]
component = "x.wasm"
routes = ["GET /orders/{id}"]

[function.two]
component = "x.wasm"
routes = ["GET /orders/{number}"]
"#;
    assert_snapshot!(run(manifest), @r"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 8, column 11: route `GET /orders/{number}` matches the same requests as `GET /orders/{id}` of function `one`

    hint: give one of them another path, method or host
    ");
}

#[test]
fn a_route_without_a_path_says_how_to_write_one() {
    let manifest = "[function.x]\ncomponent = \"x.wasm\"\nroutes = [\"GET orders\"]\n";
    assert_snapshot!(run(manifest), @r"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 3, column 11: route `GET orders` has no path, write for example `GET /orders/{id}` or `/*`
    ");
}

#[test]
fn a_key_of_a_later_version_is_not_taken_in_silence() {
    let manifest = "[function.x]\ncomponent = \"x.wasm\"\ncron = [\"* * * * *\"]\n";
    assert_snapshot!(run(manifest), @r"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 3, column 1: `cron` in [function.x] is not supported by this version of midge yet

    hint: remove `cron`
    ");
}

#[test]
fn broken_toml_is_refused_with_its_place() {
    assert_snapshot!(run("[function.x\ncomponent = 1\n"), @r"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 1, column 12: unclosed table, expected `]`
    ");
}

#[test]
fn a_component_that_is_not_built_yet_is_named() {
    assert_snapshot!(run("[function.x]\ncomponent = \"x.wasm\"\n"), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function x: there is no `./x.wasm`

    hint: correct `component` in midge.toml, or say with `build` how it is made
    ");
}

#[test]
fn a_manifest_without_a_function_shows_one() {
    assert_snapshot!(run(""), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 1, column 1: manifest has no function

    hint: add for example
        [function.hello]
        component = "hello.wasm"
    "#);
}

#[test]
fn a_folder_without_a_manifest_says_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    assert_snapshot!(midge_in(folder.path(), &["run"]), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: folder `.` has no `midge.toml`

    hint: name a file, as in `midge run ./hello.wasm`, or write a midge.toml there:
        [function.hello]
        component = "hello.wasm"
    "#);
}

/// Links that somebody else left there: what they lead to has no end.
#[test]
fn what_has_no_end_is_refused() {
    assert_snapshot!(run("[function.x]\ncomponent = \"/dev/zero\"\n"), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function x: read `/dev/zero`: it is no regular file
    ");
    let site = Site::written("[function.x]\ncomponent = \"x.wasm\"\n");
    symlink("/dev/zero", site.path().join("x.wasm")).unwrap();
    for command in ["run", "compile", "bundle"] {
        let told = midge_in(site.path(), &[command, "."]);
        assert!(told.contains("it is no regular file"), "{command}: {told}");
    }
    assert_snapshot!(midge_in(site.path(), &["inspect", "x.wasm"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read `x.wasm`: it is no regular file

    hint: midge inspect FILE.wasm
    ");
    symlink("/dev/zero", site.path().join("zero.toml")).unwrap();
    assert_snapshot!(midge_in(site.path(), &["run", "zero.toml"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read `zero.toml`: it is no regular file
    ");
    // Of nothing but a length.
    let long = File::create(site.path().join("long.toml")).unwrap();
    long.set_len((1 << 20) + 1).unwrap();
    assert_snapshot!(midge_in(site.path(), &["run", "long.toml"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `long.toml` is longer than 1048576 bytes, no manifest is
    ");
    let large = File::create(site.path().join("large.wasm")).unwrap();
    large.set_len((1 << 30) + 1).unwrap();
    assert_snapshot!(midge_in(site.path(), &["run", "large.wasm"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function large: `large.wasm` is larger than 1GiB, no component is
    ");
}
