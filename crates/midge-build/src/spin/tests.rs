//! Manifests of Spin, and what comes of them.

use insta::assert_snapshot;
use midge_model::Manifest;

use super::*;

#[track_caller]
fn check(text: &str) -> String {
    match from_spin(text) {
        Ok(imported) => {
            Manifest::parse(&imported.manifest).unwrap();
            let lacking = imported.without_equivalent.iter();
            let lacking = lacking.map(|sentence| format!("- {sentence}\n"));
            format!("{}---\n{}", imported.manifest, lacking.collect::<String>())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_application_becomes_functions() {
    let text = r#"
        spin_manifest_version = 2
        [application]
        name = "shop"
        [variables]
        region = { default = "eu" }
        api_key = { required = true, secret = true }
        [[trigger.http]]
        route = "/orders/:id/..."
        component = "orders"
        [[trigger.redis]]
        channel = "news"
        component = "orders"
        [component.orders]
        source = "target/wasm32-wasip1/release/orders.wasm"
        allowed_outbound_hosts = ["https://api.example.com", "redis://db.example.com:6379", "http://self"]
        key_value_stores = ["default"]
        sqlite_databases = ["default"]
        environment = { LOG = "info" }
        files = [{ source = "static", destination = "/static" }, "img/*.png"]
        [component.orders.variables]
        where = "in {{ region }}"
        key = "{{ api_key }}"
        both = "{{ region }}-{{ api_key }}"
        [component.orders.build]
        command = "cargo build --target wasm32-wasip1 --release"
        workdir = "it's orders"
    "#;
    assert_snapshot!(check(text), @r#"
    [function.orders]
    component = "target/wasm32-wasip1/release/orders.wasm"
    build = '''cd 'it'\''s orders' && cargo build --target wasm32-wasip1 --release'''
    routes = ["/orders/{id}/*"]

    [function.orders.env]
    LOG = "info"
    where = "in eu"

    [function.orders.allow]
    http = ["https://api.example.com"]
    tcp = ["db.example.com:6379"]
    kv = ["default"]
    secrets = [{ name = "key", as = "config" }]
    dirs = [{ host = "static", guest = "/static" }]
    ---
    - trigger `redis` of `orders`: only `http` is known here
    - variable `both` of `orders`: `{{ region }}-{{ api_key }}`
    - interface for `redis` of `orders`: `tcp` was granted
    - `http://self` of `orders`: functions do not call each other yet
    - files `"img/*.png"` of `orders`: grant their folder in `dirs`
    - `sqlite_databases` of `orders`
    "#);
}

#[test]
fn what_is_none_is_said() {
    assert_snapshot!(check("a = "), @"no manifest: string values must be quoted, expected literal string");
    assert_snapshot!(check("spin_manifest_version = \"1\""), @"`spin_manifest_version` is not 2");
    assert_snapshot!(check("spin_manifest_version = 2"), @"there is no component with a source");
}

#[test]
fn what_was_hidden_stays_hidden() {
    let text = r#"
        spin_manifest_version = 2
        [[trigger.http]]
        route = "/..."
        component = "front"
        [[trigger.http]]
        route = { private = true }
        component = "inner"
        [[trigger.redis]]
        channel = "news"
        component = "worker"
        [component.front]
        source = "front.wasm"
        allowed_outbound_hosts = ["http://inner.spin.internal"]
        [component.inner]
        source = "inner.wasm"
        [component.worker]
        source = "worker.wasm"
        [component.lonely]
        source = "lonely.wasm"
    "#;
    assert_snapshot!(check(text), @r#"
    [function.front]
    component = "front.wasm"
    routes = ["/*"]

    [function.lonely]
    component = "lonely.wasm"
    ---
    - trigger `redis` of `worker`: only `http` is known here
    - `inner`, which nobody gets to from outside: it was left out, for a function answers at `/inner/*`
    - `worker`, which nobody gets to from outside: it was left out, for a function answers at `/worker/*`
    - no trigger of `lonely`: it answers at `/lonely/*`
    - `http://inner.spin.internal` of `front`: functions do not call each other yet
    "#);
}

#[test]
fn what_would_be_refused_is_left_out_and_said() {
    let text = r#"
        spin_manifest_version = 2
        [variables]
        db_host = { default = "db.example.com" }
        open = { required = true }
        [[trigger.http]]
        route = "/a"
        component = "a"
        [component.a]
        source = { url = "https://example.com/a.wasm", digest = "sha256:DIGEST" }
        allowed_outbound_hosts = ["postgres://{{ db_host }}:5432", "https://{{ open }}", "redis://a b"]
        key_value_stores = ["My_Store", "fine"]
        [component.a.build]
        command = "curl --output a.wasm https://example.com/a.wasm"
        [component.a.dependencies]
        "a:b/c" = { version = "1", package = "a:b" }
    "#;
    let text = text.replace("DIGEST", &midge_model::Digest::of(b"").hex());
    assert_snapshot!(check(&text), @r#"
    [function.a]
    component = "https://example.com/a.wasm#sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    routes = ["/a"]

    [function.a.allow]
    tcp = ["db.example.com:5432"]
    kv = ["fine"]
    ---
    - interface for `postgres` of `a`: `tcp` was granted
    - outbound host `https://{{ open }}` of `a`
    - interface for `redis` of `a`: `tcp` was granted
    - grant of `a b` to `a`: grant `a b` has no port, write for example `a b:5432`, or `a b:*` for every port
    - grant of `My_Store` to `a`: bucket `My_Store` is not 1 to 63 of `a`-`z`, `0`-`9`, `-` and `_`
    - `dependencies` of `a`
    "#);
}

/// A spin.toml with these lines in its only component.
fn spin(lines: &str) -> String {
    format!("spin_manifest_version = 2\n[component.a]\nsource = \"a.wasm\"\n{lines}\n")
}

#[test]
fn no_text_of_it_becomes_a_line_of_ours() {
    let name = r#"environment = { "A = '1'\n[function.a.allow]\ndirs = [{ host = '/' }]\n#" = "v", "B=C" = "v", D = "d\n[function.b]" }"#;
    assert_snapshot!(check(&spin(name)), @r#"
    [function.a]
    component = "a.wasm"

    [function.a.env]
    D = "d\n[function.b]"
    ---
    - no trigger of `a`: it answers at `/a/*`
    - variable `A = '1'
    [function.a.allow]
    dirs = [{ host = '/' }]
    #` of `a`: environment variable name `A ` is not a letter or `_` followed by letters, digits and `_`
    - variable `B=C` of `a`: a name has no `=`
    "#);
    let url = "spin_manifest_version = 2\n[component.\"a\\n[b]\"]\n\
        source = { url = \"https://x/\\n[function.evil]\\r\\nbuild = 'id'\\u007f\" }\n\
        key_value_stores = [\"x\\\"]\\nhttp = ['*://*']\"]\n";
    let imported = from_spin(url).unwrap();
    assert_snapshot!(imported.manifest, @r#"
    [function.a-b]
    component = "a-b.wasm" # download https://x/[function.evil]build = 'id'
    "#);
}

#[test]
fn every_text_comes_out_as_it_went_in() {
    for text in [
        "",
        "plain",
        "a\"b",
        "'",
        "\"\"\"",
        "'''",
        "a\nb",
        "a\n\u{7f}\r\u{1}\\u",
        "\u{1b}[31m",
        "# no",
        "\\",
    ] {
        let lines = format!("environment = {{ A = {} }}", Value::from(text));
        let imported = from_spin(&spin(&lines)).unwrap();
        let manifest = Manifest::parse(&imported.manifest).unwrap();
        let grants = manifest.functions.values().next().unwrap().grants();
        assert_eq!(grants.env["A"], text, "{}", imported.manifest);
    }
}

#[test]
fn variables_are_filled_in_once_and_not_without_end() {
    let defaults = |text: &str| {
        let text = Value::from(text);
        format!("[variables]\nx = {{ default = {text} }}\nopen = {{ default = \"{{\" }}\n")
    };
    let filled = |default: &str, template: &str| {
        let lines = format!("variables = {{ v = \"{template}\" }}");
        let imported = from_spin(&format!("{}{}", spin(&lines), defaults(default)))?;
        let manifest = Manifest::parse(&imported.manifest).unwrap();
        let grants = manifest.functions.values().next().unwrap().grants();
        Ok::<_, SpinError>(grants.env.get("v").cloned().unwrap_or_default())
    };
    assert_eq!(filled("1", "<{{x}}{{ x }}>").unwrap(), "<11>");
    // What came of it is no template.
    assert_eq!(filled("1", "{{open}}{{open}}x}}").unwrap(), "{{x}}");
    assert_eq!(filled("", &"{{x}}".repeat(200_000)).unwrap(), "");
    let long = "a".repeat(VALUES_BYTES_MAX / 8);
    assert_eq!(
        filled(&long, &"{{x}}".repeat(9)).unwrap_err(),
        SpinError::Values
    );
    // Too long for a variable, and no more than that.
    assert_eq!(filled(&long, &"{{x}}".repeat(8)).unwrap(), "");
}

#[test]
fn names_that_become_one_are_refused() {
    let two = format!(
        "{}[component.a_b]\nsource = \"1\"\n[component.a-b]\nsource = \"2\"",
        spin("")
    );
    assert_snapshot!(check(&two), @"components `a-b` and `a_b` would both be the function `a-b`");
    let long = "k".repeat(100_000);
    let many = format!(
        "[trigger]\n{long} = [{}]",
        "{ component = { source = \"a\" } },".repeat(20)
    );
    let error = from_spin(&format!("spin_manifest_version = 2\n{many}")).unwrap_err();
    assert!(error.to_string().len() < 500, "{error}");
}
