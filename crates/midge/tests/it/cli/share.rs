//! Components that are handed on: bundled, pushed, pulled, pinned, deployed.
//!
//! The registry is Debian's, the web server the testkit's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use midge_model::Digest;
use midge_testkit::http::get;
use midge_testkit::toolchain::or_skip;
use midge_testkit::{MidgeBuilder, Registry, Run, Upstream, docker_login, fixture, wait_until};
use tempfile::TempDir;

use super::{Node, masks, stdout};
use crate::kit::{BINARY, Site};

/// Somebody's machine: a folder that commands are typed in, with a cache of its own.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    fn prepare(&self, args: &[&str]) -> Run {
        Run::of(BINARY, args.iter().copied())
            .folder(self.path())
            .env("XDG_CACHE_HOME", self.path())
            .env("HOME", self.path())
    }

    fn run(&self, args: &[&str]) -> String {
        self.shown(self.prepare(args))
    }

    fn shown(&self, run: Run) -> String {
        let text = run.to_end();
        text.replace(&*self.path().to_string_lossy(), "HOME")
    }

    /// Writes a manifest with this function.
    fn write(&self, lines: &str) -> PathBuf {
        let manifest = self.path().join("midge.toml");
        fs::write(&manifest, format!("[function.hello]\n{lines}\n")).unwrap();
        manifest
    }

    /// Serves the manifest with the cache, and asks it.
    async fn answer(&self) -> String {
        let server = MidgeBuilder::run(BINARY, self.path()).cache_dir(&self.cache());
        let midge = server.start();
        let answer = get(midge.addr(), "/hello").await.unwrap();
        format!("{} {}", answer.status, midge.said().contains("fetching"))
    }
}

/// Without the port of this registry.
fn masked(text: &str, registry: &Registry) -> String {
    text.replace(&registry.authority(), "REGISTRY")
}

fn tiny() -> Vec<u8> {
    fs::read(fixture("http02-tiny.wasm")).unwrap()
}

#[tokio::test]
async fn a_component_goes_round_by_a_registry() {
    let Some(registry) = or_skip(Registry::start()) else {
        return;
    };
    let _masks = masks().bind_to_scope();
    let (author, user) = (Home::new(), Home::new());
    let site = Site::of(&[
        ("hello", "http02-tiny.wasm", "allow.dns = [\"*\"]"),
        ("other", "command01-plain.wasm", ""),
    ]);
    let site = site.path().to_string_lossy().into_owned();
    let bundled = author.run(&["bundle", &site]);
    assert_snapshot!(bundled, @r"
    exit: 0
    --- stdout
    hello sha256:DIGEST
    other sha256:DIGEST
    --- stderr
    2 components are in bundle
    ");
    assert_eq!(
        author.run(&["bundle", &site]),
        bundled,
        "made again, it is the same"
    );

    let place = format!("oci://{}/shop/hello:1.0", registry.authority());
    assert_snapshot!(masked(&author.run(&["push", &place, "bundle"]), &registry), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `bundle` has the components hello, other

    hint: --function hello
    ");
    let pushed = author.run(&["push", &place, "bundle", "--function", "hello"]);
    assert_snapshot!(masked(&pushed, &registry), @r#"
    exit: 0
    --- stdout
    component = "oci://REGISTRY/shop/hello:1.0@sha256:DIGEST"
    --- stderr
    pushed hello, SIZE; in a manifest it is
    "#);
    let again = author.run(&["push", &place, &site, "--function", "hello"]);
    assert_eq!(stdout(&again), stdout(&pushed), "with or without a bundle");

    let pulled = user.run(&["pull", &place]);
    assert_snapshot!(masked(&pulled, &registry), @r#"
    exit: 0
    --- stdout
    component = "oci://REGISTRY/shop/hello:1.0@sha256:DIGEST"
    --- stderr
    wrote hello.wasm, SIZE; in a manifest it is
    "#);
    assert_eq!(stdout(&pulled), stdout(&pushed));
    assert_eq!(fs::read(user.path().join("hello.wasm")).unwrap(), tiny());

    fs::remove_dir_all(user.path().join("midge")).unwrap();
    user.write(stdout(&pushed));
    assert_eq!(user.answer().await, "200 OK true");
    let node = Node::start();
    let manifest = user.path().to_string_lossy().into_owned();
    let deploy = ["deploy", &manifest, "--cache-dir", "cache"];
    assert_snapshot!(masked(&node.run(&deploy), &registry), @r"
    exit: 0
    --- stdout
    http://ADDR/hello
    --- stderr
    fetching oci://REGISTRY/shop/hello:1.0@sha256:DIGEST
    new        hello  http://ADDR/hello
      + route  /hello/*
    deployed hello r1, compiled in N ms
    ");
    assert_eq!(get(node.midge.addr(), "/hello").await.unwrap().status, 200);

    drop(registry);
    assert_eq!(
        user.answer().await,
        "200 OK false",
        "nobody is asked for what is there"
    );
    assert!(node.run(&deploy).contains("unchanged"));
    fs::remove_dir_all(user.cache()).unwrap();
    let gone = user.run(&["compile", ".", "--cache-dir", "cache"]);
    assert!(gone.contains("Connection refused"), "{gone}");
}

#[tokio::test]
async fn every_command_takes_a_pinned_component() {
    let Some(registry) = or_skip(Registry::start()) else {
        return;
    };
    let _masks = masks().bind_to_scope();
    let home = Home::new();
    let place = format!("oci://{}/hello", registry.authority());
    let file = fixture("http02-tiny.wasm").to_string_lossy().into_owned();
    let pushed = home.run(&["push", &place, &file]);
    let line = stdout(&pushed).trim().to_owned();
    home.write(&line);
    let reference = line.trim_start_matches("component = ").trim_matches('"');

    assert_snapshot!(home.run(&["build"]), @r"
    exit: 0
    --- stdout
    --- stderr
    nothing to build: components from elsewhere are taken as they are
    ");
    let inspected = home.run(&["inspect", reference]);
    assert!(inspected.contains("HTTP handler, WASI 0.2"), "{inspected}");
    assert!(home.run(&["policy", "check", "."]).starts_with("exit: 0"));
    assert!(home.run(&["compile", "."]).starts_with("exit: 0"));
    let tests = home.path().join("tests");
    fs::create_dir(&tests).unwrap();
    let case =
        "[[case]]\nname = \"answers\"\nrequest = \"GET /hello\"\n[case.expect]\nstatus = 200\n";
    fs::write(tests.join("hello.toml"), case).unwrap();
    let tested = home.run(&["test"]);
    assert!(tested.starts_with("exit: 0"), "{tested}");
    let bundled = home.run(&["bundle"]);
    assert!(reference.ends_with(stdout(&bundled).trim().trim_start_matches("hello ")));

    // Without a manifest, where a path could be.
    for command in [&["policy", "check"][..], &["compile"], &["bundle"]] {
        let typed = home.run(&[command, &[reference]].concat());
        assert!(typed.starts_with("exit: 0"), "{command:?}: {typed}");
    }
    let run = MidgeBuilder::run(BINARY, Path::new(reference)).cache_dir(&home.path().join("midge"));
    let run = run.start();
    assert_eq!(get(run.addr(), "/any").await.unwrap().status, 200);
    assert_snapshot!(masked(&home.run(&["dev", reference]), &registry), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `oci://REGISTRY/hello@sha256:DIGEST` never changes, and there is nothing to watch

    hint: midge run oci://REGISTRY/hello@sha256:DIGEST
    ");
    assert_snapshot!(masked(&home.run(&["run", &place]), &registry), @r"
    exit: 1
    --- stdout
    --- stderr
    error: component `oci://REGISTRY/hello` does not say which bytes it has to be: its digest is missing

    hint: `midge pull oci://REGISTRY/hello` fetches it once and prints the line to write
    ");

    let dev = MidgeBuilder::dev(BINARY, home.path()).cache_dir(&home.path().join("midge"));
    let dev = dev.start();
    wait_until("it serves", || dev.said().contains("/hello"));
}

#[test]
fn a_node_asks_nobody_for_components() {
    let home = Home::new();
    let digest = Digest::of(b"x");
    let manifest = home.write(&format!("component = \"oci://127.0.0.1:1/hello@{digest}\""));
    let manifest = manifest.to_string_lossy().into_owned();
    let node = MidgeBuilder::serve(BINARY, &home.path().join("store"));
    let node = node.args(["--with", &manifest]).start();
    node.wait_until_said("a node fetches no components");
}

#[test]
fn what_was_changed_in_a_registry_is_refused() {
    let Some(registry) = or_skip(Registry::start()) else {
        return;
    };
    let _masks = masks().bind_to_scope();
    let home = Home::new();
    let place = format!("oci://{}/hello:1", registry.authority());
    let file = fixture("http02-tiny.wasm").to_string_lossy().into_owned();
    home.run(&["push", &place, &file]);
    let digest = Digest::of(b"something else");
    home.write(&format!("component = \"{place}@{digest}\""));
    assert_snapshot!(masked(&home.run(&["compile", "."]), &registry), @r"
    exit: 1
    --- stdout
    --- stderr
    fetching oci://REGISTRY/hello:1@sha256:DIGEST
    error: function hello: fetch `oci://REGISTRY/hello:1@sha256:DIGEST`: REGISTRY has no manifest hello@sha256:DIGEST, or shows it to nobody who is not logged in

    hint: look whether its name is right; if it is private: docker login REGISTRY
    ");
    home.write(&format!("component = \"{place}\""));
    assert_snapshot!(masked(&home.run(&["compile", "."]), &registry), @r"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 2, column 13: component `oci://REGISTRY/hello:1` does not say which bytes it has to be: its digest is missing

    hint: `midge pull oci://REGISTRY/hello:1` fetches it once and prints the line to write
    ");

    // The bytes of the component, where the registry keeps them.
    let hex = Digest::of(&tiny()).hex();
    let blob = registry.storage().join("docker/registry/v2/blobs/sha256");
    let blob = blob.join(&hex[..2]).join(&hex).join("data");
    let mut changed = fs::read(&blob).unwrap();
    changed[100] ^= 1;
    fs::write(&blob, changed).unwrap();
    let cache = home.path().join("empty").to_string_lossy().into_owned();
    let text = home.run(&["pull", &place, "--cache-dir", &cache]);
    assert_snapshot!(masked(&text, &registry), @r"
    exit: 1
    --- stdout
    --- stderr
    error: fetch `oci://REGISTRY/hello:1`: the component has the digest sha256:DIGEST, and sha256:DIGEST was asked for

    hint: somebody changed it on its way, or in the registry: do not use it
    ");
}

#[test]
fn who_has_to_log_in_uses_dockers_login_or_the_environment() {
    let Some(registry) = or_skip(Registry::for_someone()) else {
        return;
    };
    let _masks = masks().bind_to_scope();
    let home = Home::new();
    let place = format!("oci://{}/hello:1", registry.authority());
    let file = fixture("http02-tiny.wasm").to_string_lossy().into_owned();
    let push = ["push", &place, &file];
    assert_snapshot!(masked(&home.run(&push), &registry), @r"
    exit: 1
    --- stdout
    --- stderr
    error: push http02-tiny: REGISTRY wants credentials for any request

    hint: docker login REGISTRY, or set MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD
    ");
    let with = |password: &str| {
        let run = home.prepare(&push).env("MIDGE_REGISTRY_USER", "someone");
        let text = home.shown(run.env("MIDGE_REGISTRY_PASSWORD", password));
        assert!(!text.contains("hunter"), "{text}");
        text
    };
    assert_snapshot!(masked(&with("hunter3"), &registry), @r"
    exit: 1
    --- stdout
    --- stderr
    error: push http02-tiny: REGISTRY wants other credentials for the component

    hint: docker login REGISTRY, or set MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD
    ");
    let pushed = with("hunter2");
    assert!(pushed.starts_with("exit: 0"), "{pushed}");

    // A manifest is somebody else's, as a rule.
    home.write(stdout(&pushed));
    let compile = || home.prepare(&["compile", ".", "--cache-dir", "cache"]);
    let environment = |run: Run| {
        let run = run.env("MIDGE_REGISTRY_USER", "someone");
        run.env("MIDGE_REGISTRY_PASSWORD", "hunter2")
    };
    assert!(
        home.shown(environment(compile()))
            .contains("wants credentials")
    );
    let named = environment(compile()).env("MIDGE_REGISTRY", registry.authority());
    assert!(home.shown(named).starts_with("exit: 0"));
    fs::remove_dir_all(home.cache()).unwrap();
    docker_login(home.path(), &registry.authority());
    let docker = compile().env("DOCKER_CONFIG", home.path());
    assert!(home.shown(docker).starts_with("exit: 0"));
}

#[test]
fn another_machine_is_spoken_to_by_tls() {
    let Some(registry) = or_skip(Registry::start()) else {
        return;
    };
    let _masks = masks().bind_to_scope();
    let home = Home::new();
    // This machine, by an address that does not say so.
    let authority = registry.authority().replace("127.0.0.1", "0.0.0.0");
    let place = format!("oci://{authority}/hello:1");
    let file = fixture("http02-tiny.wasm").to_string_lossy().into_owned();
    let refused = home.run(&["push", &place, &file]);
    assert_snapshot!(refused.replace(&authority, "REGISTRY"), @r"
    exit: 1
    --- stdout
    --- stderr
    error: push http02-tiny: ask REGISTRY for the component: error sending request: client error (Connect): received corrupt message of type InvalidContentType

    hint: a server that speaks plain HTTP is asked by `midge pull --plain-http`, and by a manifest only on this machine
    ");
    let pushed = home.run(&["push", "--plain-http", &place, &file]);
    assert!(pushed.starts_with("exit: 0"), "{pushed}");
    let pulled = home.run(&["pull", "--plain-http", &place]);
    assert_eq!(stdout(&pulled), stdout(&pushed));
}

#[test]
fn a_file_from_the_web_has_its_digest() {
    let _masks = masks().bind_to_scope();
    let web = Upstream::tls(&["localhost"], &["http/1.1"]);
    web.put("/hello.wasm", tiny());
    web.put("/page.wasm", "<!DOCTYPE html>");
    let home = Home::new();
    let roots = home.path().join("roots.pem");
    fs::write(&roots, web.certificate()).unwrap();
    let run = |args: &[&str]| {
        let text = home.shown(home.prepare(args).env("SSL_CERT_FILE", &roots));
        text.replace(&web.port().to_string(), "PORT")
    };
    let url = format!("https://localhost:{}/hello.wasm", web.port());
    home.write(&format!("component = \"{url}\""));
    assert_snapshot!(run(&["compile", "."]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: ./midge.toml: line 2, column 13: component `https://localhost:PORT/hello.wasm` does not say which bytes it has to be: its digest is missing

    hint: `midge pull https://localhost:PORT/hello.wasm` fetches it once and prints the line to write
    ");
    assert_snapshot!(run(&["pull", &url]), @r#"
    exit: 0
    --- stdout
    component = "https://localhost:PORT/hello.wasm#sha256=DIGEST"
    --- stderr
    wrote hello.wasm, SIZE; in a manifest it is
    "#);
    assert_snapshot!(run(&["pull", &url.replace("hello", "page")]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `https://localhost:PORT/page.wasm` is no binary WebAssembly: it starts with `<!DOCTYP`

    hint: name a `.wasm` file, as a compiler wrote it
    ");
    let hex = Digest::of(&tiny()).hex();
    home.write(&format!("component = \"{url}#sha256={hex}\""));
    let compiled = run(&["compile", ".", "--cache-dir", "cache"]);
    assert!(compiled.starts_with("exit: 0"), "{compiled}");
    let asked = web.requests().len();
    assert!(run(&["compile", ".", "--cache-dir", "cache"]).starts_with("exit: 0"));
    assert_eq!(
        web.requests().len(),
        asked,
        "what is there is not asked for"
    );

    web.put(
        "/hello.wasm",
        fs::read(fixture("command01-plain.wasm")).unwrap(),
    );
    assert_snapshot!(run(&["compile", ".", "--cache-dir", "empty"]), @r"
    exit: 1
    --- stdout
    --- stderr
    fetching https://localhost:PORT/hello.wasm#sha256=DIGEST
    error: function hello: fetch `https://localhost:PORT/hello.wasm#sha256=DIGEST`: the file has the digest sha256:DIGEST, and sha256:DIGEST was asked for

    hint: the file was changed: look at it before you write its new digest
    ");
    // Nobody vouches for the certificate.
    let refused = home.run(&["compile", ".", "--cache-dir", "empty"]);
    assert!(refused.contains("certificate"), "{refused}");
}

#[test]
fn a_file_of_ones_own_is_not_written_over() {
    let web = Upstream::start();
    web.put("/hello.wasm", tiny());
    let home = Home::new();
    let url = format!("http://{}/hello.wasm", web.address());
    fs::write(home.path().join("hello.wasm"), "mine").unwrap();
    assert_snapshot!(home.run(&["pull", &url]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: there is a `hello.wasm` already, with something else in it

    hint: --output hello.wasm to write over it, or another name
    ");
    assert!(
        home.run(&["pull", &url, "--output", "hello.wasm"])
            .starts_with("exit: 0")
    );
    assert!(
        home.run(&["pull", &url]).starts_with("exit: 0"),
        "the same again"
    );
    // Whatever leads somewhere else is somebody's, too.
    let file = home.path().join("hello.wasm");
    for target in ["/dev/zero", "nowhere.wasm"] {
        fs::remove_file(&file).unwrap();
        symlink(target, &file).unwrap();
        let refused = home.run(&["pull", &url]);
        assert!(refused.contains("something else in it"), "{refused}");
    }
    assert!(!home.path().join("nowhere.wasm").exists());
}

#[test]
fn text_is_not_fetched() {
    let web = Upstream::start();
    web.put("/hello.wasm", "(component)");
    let home = Home::new();
    let url = format!("http://{}/hello.wasm", web.address());
    let masked = |text: String| text.replace(&web.address().to_string(), "HOST");
    assert_snapshot!(masked(home.run(&["pull", &url])), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `http://HOST/hello.wasm` is no binary WebAssembly: it starts with `(compone`

    hint: name a `.wasm` file, as a compiler wrote it
    ");
    assert!(!home.path().join("hello.wasm").exists());
    let hex = Digest::of(b"(component)").hex();
    home.write(&format!("component = \"{url}#sha256={hex}\""));
    let refused = masked(home.run(&["compile", ".", "--cache-dir", "cache"]));
    assert!(refused.contains("no binary WebAssembly"), "{refused}");
    let again = masked(home.run(&["bundle", ".", "--cache-dir", "cache"]));
    assert!(again.contains("no binary WebAssembly"), "{again}");
}

#[test]
fn a_bundle_is_not_lost_by_where_it_is_put() {
    let home = Home::new();
    let file = fixture("http02-tiny.wasm").to_string_lossy().into_owned();
    let bundle = home.path().join("bundle");
    assert!(
        home.run(&["bundle", &file, "--output", "bundle"])
            .starts_with("exit: 0")
    );
    let here = |folder: &Path| {
        let run = Run::of(BINARY, ["bundle", &file, "--output", "."]);
        run.folder(folder).to_end()
    };
    let index = fs::read(bundle.join("index.json")).unwrap();
    assert_snapshot!(here(&bundle), @r"
    exit: 1
    --- stdout
    --- stderr
    error: folder `.` is where the command runs, or has no name by which to replace it

    hint: --output names another folder
    ");
    assert_eq!(fs::read(bundle.join("index.json")).unwrap(), index);
    assert_eq!(
        fs::read_dir(bundle.join("blobs/sha256")).unwrap().count(),
        3
    );
    assert!(
        home.run(&["bundle", &file, "--output", "bundle/."])
            .starts_with("exit: 0"),
        "another way to write it"
    );
}

#[test]
fn what_cannot_be_bundled_is_told() {
    let home = Home::new();
    assert_snapshot!(home.run(&["bundle"]), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: folder `.` has no `midge.toml`

    hint: name a file, as in `midge bundle ./hello.wasm`, or write a midge.toml there:
        [function.hello]
        component = "hello.wasm"
    "#);
    home.write("component = \"hello.wasm\"");
    assert_snapshot!(home.run(&["bundle"]), @"
    exit: 1
    --- stdout
    --- stderr
    error: function hello: there is no `./hello.wasm`

    hint: correct `component` in midge.toml, or say with `build` how it is made
    ");
    let file = fixture("http02-tiny.wasm").to_string_lossy().into_owned();
    assert_snapshot!(home.run(&["bundle", &file, "--output", "."]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: folder `.` has something else in it than components

    hint: --output names another folder
    ");
    let dated = home
        .prepare(&["bundle", &file])
        .env("SOURCE_DATE_EPOCH", "now");
    assert_snapshot!(home.shown(dated), @r"
    exit: 1
    --- stdout
    --- stderr
    error: SOURCE_DATE_EPOCH=`now` is not a number of seconds since 1970
    ");
    assert_snapshot!(home.run(&["push", "oci://127.0.0.1:1", &file]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'oci://127.0.0.1:1' for '<oci://HOST/NAME[:TAG]>': component `oci://127.0.0.1:1` names no repository behind the host

    For more information, try '--help'.
    ");
    assert_snapshot!(home.run(&["push", "oci://127.0.0.1:1/a", "bundle"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read `bundle`: No such file or directory (os error 2)

    hint: midge push oci://… FILE.wasm, or a folder with a midge.toml
    ");
}
