//! Every kind of file that can be a function answers HTTP, told from its bytes alone.

use midge_testkit::http::{Answer, get, post};
use midge_testkit::{MidgeBuilder, examples};

use crate::kit::{BINARY, Site, serve};

/// Posts a text to the fixture, which is served at `/`.
async fn echo(name: &str) -> Answer {
    let midge = serve(name);
    post(midge.addr(), "/a/b?c=d", "there and back")
        .await
        .unwrap()
}

/// The answer to `GET /`.
async fn answer(name: &str) -> Answer {
    get(serve(name).addr(), "/").await.unwrap()
}

#[tokio::test]
async fn a_component_for_http_02_answers() {
    let echoed = echo("http02-echo.wasm").await;
    assert_eq!(echoed.status, 200);
    assert_eq!(echoed.header("x-echo-method"), "POST");
    assert_eq!(echoed.header("x-echo-path"), "/a/b");
    assert_eq!(echoed.header("x-echo-query"), "c=d");
    assert_eq!(echoed.text(), "there and back");
}

#[tokio::test]
async fn a_component_for_the_first_http_02_answers() {
    assert_eq!(answer("http02-tiny.wasm").await.text(), "hi");
}

#[tokio::test]
async fn a_component_for_http_03_answers() {
    let echoed = echo("http03-echo.wasm").await;
    assert_eq!(echoed.status, 200);
    assert_eq!(echoed.header("x-echo-method"), "POST");
    assert_eq!(echoed.header("x-echo-path"), "/a/b");
    assert_eq!(echoed.header("x-echo-query"), "c=d");
    assert_eq!(echoed.text(), "there and back");
}

#[tokio::test]
async fn a_preview_1_core_module_answers_as_a_command() {
    let echoed = echo("command01-echo.wasm").await;
    assert_eq!(echoed.header("x-echo-method"), "POST");
    assert_eq!(echoed.text(), "there and back");
}

#[tokio::test]
async fn a_component_for_cli_02_answers_as_a_command() {
    let echoed = echo("command02-echo.wasm").await;
    assert_eq!(echoed.header("x-echo-method"), "POST");
    assert_eq!(echoed.text(), "there and back");
}

#[tokio::test]
async fn a_component_for_cli_03_answers_as_a_command() {
    let echoed = echo("command03-echo.wasm").await;
    assert_eq!(echoed.header("x-echo-method"), "POST");
    assert_eq!(echoed.text(), "there and back");
}

#[tokio::test]
async fn a_core_module_with_an_embedded_component_type_answers() {
    assert_eq!(
        answer("adapted-reactor.wasm").await.text(),
        "adapted, 0 variables\n"
    );
}

#[tokio::test]
async fn plain_output_is_plain_text() {
    let answer = answer("command01-plain.wasm").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        answer.text(),
        "plain output, no header block\nsecond line\n"
    );
}

#[tokio::test]
async fn text_format_is_served_like_the_binary() {
    const HELLO: &str = r#"
        (module
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 8) "by hand\n")
          (func (export "_start")
            (i32.store (i32.const 0) (i32.const 8))
            (i32.store (i32.const 4) (i32.const 8))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Hello_World.wat");
    std::fs::write(&file, HELLO).unwrap();
    let midge = MidgeBuilder::run(BINARY, &file).start();
    assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "by hand\n");
    midge.wait_until_said("/*  -> hello-world");
}

#[tokio::test]
async fn every_example_answers_below_its_name() {
    let midge = MidgeBuilder::run(BINARY, &examples()).start();
    let manifest = std::fs::read_to_string(examples().join("midge.toml")).unwrap();
    let names = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("[function.")?.strip_suffix(']'));
    let mut seen = 0;
    for name in names {
        let answer = get(midge.addr(), &format!("/{name}/")).await.unwrap();
        assert_eq!(answer.status, 200, "{name}");
        assert!(!answer.text().is_empty(), "{name}");
        midge.wait_until_said(&format!("-> {name}\n"));
        seen += 1;
    }
    assert!(seen >= 9, "only {seen} examples in the manifest");
}

#[tokio::test]
async fn the_examples_do_what_their_pages_say() {
    let midge = MidgeBuilder::run(BINARY, &examples()).start();
    let addr = midge.addr();
    let command = post(addr, "/command-p1/a/path?name=Midge", "some body")
        .await
        .unwrap();
    assert_eq!(
        command.text(),
        "Hello Midge, from a preview 1 command!\nPOST /a/path carried 9 bytes\n"
    );
    let filter = post(addr, "/command-p2", "first\nsecond\n").await.unwrap();
    assert_eq!(
        filter.text(),
        "your lines, numbered\n     1  first\n     2  second\n"
    );
    let hello = get(addr, "/hello-p3/there").await.unwrap();
    assert_eq!(
        hello.text(),
        "Hello from WASI 0.3, you asked for /hello-p3/there\n"
    );
    for name in ["hello-c", "hello-zig", "hello-assemblyscript"] {
        let text = get(addr, &format!("/{name}/there")).await.unwrap().text();
        assert!(text.contains("/there"), "{name}: {text}");
    }
    let api = get(addr, "/api-rust/sizes/small?weight_g=500")
        .await
        .unwrap();
    assert_eq!(api.header("content-type"), "application/json");
    let counted = post(addr, "/text-rust/count", "one two\nthree")
        .await
        .unwrap();
    assert_eq!(counted.text(), "1 lines, 3 words, 13 bytes\n");
}

#[tokio::test]
async fn a_manifest_is_found_by_its_name_by_its_folder_and_where_one_stands() {
    let site = Site::of(&[("tiny", "http02-tiny.wasm", "")]);
    let by_name = MidgeBuilder::run(BINARY, &site.path().join("midge.toml"));
    let by_folder = MidgeBuilder::run(BINARY, site.path());
    let where_one_stands = MidgeBuilder::run(BINARY, ".".as_ref()).folder(site.path());
    for server in [by_name, by_folder, where_one_stands] {
        let midge = server.start();
        let answer = get(midge.addr(), "/tiny/").await.unwrap();
        assert_eq!(answer.text(), "hi");
    }
}

#[tokio::test]
async fn a_function_sees_what_was_granted_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("note"), "from the host").unwrap();
    let dirs = format!(
        "env = {{ LOG = \"info\" }}\nallow = {{ dirs = [{{ host = \"{}\", guest = \"/data\" }}] }}",
        data.path().display()
    );
    let site = Site::of(&[
        ("open", "http02-env.wasm", &dirs),
        ("shut", "http02-env.wasm", ""),
    ]);
    let midge = site.server().args(["--env", "LEVEL=3"]).start();
    let ask = async |path: &str| get(midge.addr(), path).await.unwrap().text();
    assert_eq!(ask("/open/").await, "LEVEL=3\nLOG=info\n");
    assert_eq!(ask("/shut/").await, "LEVEL=3\n");
    let read = "?op=read&file=/data/note";
    assert_eq!(ask(&format!("/open/{read}")).await, "from the host");
    assert!(ask(&format!("/shut/{read}")).await.starts_with("error: "));
    let write = ask("/open/?op=write&file=/data/note&text=changed").await;
    assert!(write.starts_with("error: "), "{write}");
}

#[tokio::test]
async fn a_folder_typed_as_writable_can_be_written() {
    let data = tempfile::tempdir().unwrap();
    let grant = format!("{}:/data:rw", data.path().display());
    let midge = crate::kit::server("http02-env.wasm")
        .args(["--dir", &grant])
        .start();
    let path = "/?op=write&file=/data/new&text=written";
    assert_eq!(get(midge.addr(), path).await.unwrap().text(), "done\n");
    let written = std::fs::read_to_string(data.path().join("new")).unwrap();
    assert_eq!(written, "written");
}
