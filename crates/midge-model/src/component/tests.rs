//! How places of components are written.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a manifest makes of it; `HEX` stands for a digest.
fn check(text: &str) -> String {
    match text.replace("HEX", HEX).parse::<ComponentSource>() {
        Ok(source) => {
            let kind = match &source {
                ComponentSource::Path(_) => "path",
                ComponentSource::Pinned(_) => "pinned",
            };
            format!("{kind} {}", source.to_string().replace(HEX, "HEX"))
        }
        Err(error) => {
            let hint = error.hint().unwrap_or("none".to_owned());
            format!("{error}\nhint: {hint}").replace(HEX, "HEX")
        }
    }
}

#[test]
fn what_has_no_scheme_is_a_path() {
    assert_snapshot!(check("target/hello.wasm"), @"path target/hello.wasm");
    assert_snapshot!(check("oci:hello@sha256.wasm"), @"path oci:hello@sha256.wasm");
}

#[test]
fn places_have_a_digest() {
    assert_snapshot!(check("oci://ghcr.io/someone/hello:1.0@sha256:HEX"), @"pinned oci://ghcr.io/someone/hello:1.0@sha256:HEX");
    assert_snapshot!(check("oci://[::1]:5000/a__b/c-d.e@sha256:HEX"), @"pinned oci://[::1]:5000/a__b/c-d.e@sha256:HEX");
    assert_snapshot!(check("https://Example.com/a/b.wasm?v=1#sha256=HEX"), @"pinned https://example.com/a/b.wasm?v=1#sha256=HEX");
    assert_snapshot!(check("http://127.0.0.1:80/#sha256=HEX"), @"pinned http://127.0.0.1:80/#sha256=HEX");
}

#[test]
fn a_place_without_a_digest_says_who_knows_it() {
    assert_snapshot!(check("oci://ghcr.io/someone/hello:1.0"), @r"
    component `oci://ghcr.io/someone/hello:1.0` does not say which bytes it has to be: its digest is missing
    hint: `midge pull oci://ghcr.io/someone/hello:1.0` fetches it once and prints the line to write
    ");
    assert_snapshot!(check("https://example.com/hello.wasm"), @r"
    component `https://example.com/hello.wasm` does not say which bytes it has to be: its digest is missing
    hint: `midge pull https://example.com/hello.wasm` fetches it once and prints the line to write
    ");
}

#[test]
fn what_is_wrong_is_named() {
    assert_snapshot!(check("ftp://example.com/x"), @r"
    component `ftp://example.com/x` is neither a path nor begins with `oci://` or `https://`
    hint: write a path such as `function.wasm`, `oci://HOST/NAME@sha256:…` or `https://HOST/FILE#sha256=…`
    ");
    assert_snapshot!(check("http://example.com/x#sha256=HEX"), @r"
    component `http://example.com/x#sha256=HEX` begins with `http://`, which is for this machine only (`localhost`, `127.0.0.1`)
    hint: write `https://`
    ");
    assert_snapshot!(check("https://me:secret@example.com/x#sha256=HEX"), @r"
    component `https://…@example.com/x#sha256=HEX` has a name or a password in it
    hint: leave it out; for registries there is `docker login`, or MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD
    ");
    assert_snapshot!(check("oci://me:secret@ghcr.io/a:1@sha256:12"), @r"
    component `oci://…@ghcr.io/a:1@sha256:12` has a name or a password in it
    hint: leave it out; for registries there is `docker login`, or MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD
    ");
    assert_snapshot!(check("oci://ghcr.io"), @r"
    component `oci://ghcr.io` names no repository behind the host
    hint: write for example `oci://ghcr.io/someone/hello:1.0`
    ");
    assert_snapshot!(check("oci://ghcr.io/Someone@sha256:HEX"), @r"
    component `oci://ghcr.io/Someone@sha256:HEX` has the repository `Someone`: parts between `/` are lower-case letters and digits, with `.`, `_`, `__` or `-` between them
    hint: none
    ");
    assert_snapshot!(check("oci://ghcr.io/a:.b@sha256:HEX"), @r"
    component `oci://ghcr.io/a:.b@sha256:HEX` has the tag `.b`: up to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`
    hint: none
    ");
    assert_snapshot!(check("oci://ghcr.io:0/a@sha256:HEX"), @r"
    component `oci://ghcr.io:0/a@sha256:HEX` has the port `0`, a port is a number from 1 to 65535
    hint: none
    ");
    assert_snapshot!(check("oci://ghcr.io/a@sha256:12"), @r"
    component `oci://ghcr.io/a@sha256:12` has a bad digest: digest `sha256:12` does not have 64 hexadecimal digits (`0`-`9`, `a`-`f`)
    hint: none
    ");
    assert_snapshot!(check("https://example.com/x#md5=12"), @r"
    component `https://example.com/x#md5=12` has `#` without `sha256=` behind it
    hint: write `#sha256=` and 64 hexadecimal digits
    ");
    assert_snapshot!(check("https://example.com/a b#sha256=HEX"), @r"
    component `https://example.com/a b#sha256=HEX` has ' ' at position 2, write it percent-encoded
    hint: none
    ");
    assert!(check(&format!("oci://{}", "a".repeat(2000))).contains("is longer than 1024 bytes"));
}

#[test]
fn only_this_machine_is_loopback() {
    let is_loopback = |text: &str| {
        let place: OciPlace = text.parse().unwrap();
        place.registry().is_loopback()
    };
    assert!(is_loopback("oci://127.0.0.2:5000/a"));
    assert!(is_loopback("oci://localhost/a"));
    assert!(is_loopback("oci://[::1]/a"));
    assert!(!is_loopback("oci://localhost.example.com/a"));
    assert!(!is_loopback("oci://10.0.0.1:5000/a"));
}

#[test]
fn what_is_pushed_to_has_no_digest() {
    let error = format!("oci://h/a@sha256:{HEX}")
        .parse::<OciPlace>()
        .unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("leave out `@sha256:…`"));
    assert!("https://h/a".parse::<OciPlace>().is_err());
    let place: OciPlace = "oci://h/a/b".parse().unwrap();
    assert_eq!((place.tag(), place.name()), ("latest", "b"));
}

proptest! {
    /// Whatever is read is written so that it is read as the same again.
    #[test]
    fn a_place_reads_back_as_itself(
        text in "(oci|https|http|ftp)://([a-z0-9.\\[\\]:-]{0,12}|127.0.0.1|localhost:1)(/[a-zA-Z0-9._-]{0,5}){0,3}(:[a-z.]{0,4})?",
        digest in prop_oneof![Just(""), Just("@sha256:HEX"), Just("#sha256=HEX")],
    ) {
        let text = format!("{text}{digest}").replace("HEX", HEX);
        if let Ok(reference) = text.parse::<ComponentReference>() {
            prop_assert_eq!(reference.to_string().parse(), Ok(reference));
        }
    }

    #[test]
    fn never_panics(text in any::<String>(), scheme in "(oci|https|http)") {
        let _parsed = text.parse::<ComponentSource>();
        let _parsed = format!("{scheme}://{text}").parse::<ComponentSource>();
        let _parsed = format!("{scheme}://a/{text}").parse::<ComponentReference>();
    }
}
