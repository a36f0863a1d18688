//! Grants of secrets, and values that keep to themselves.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn inject(header: &str, format: &str, to: usize) -> String {
    let exposure = SecretExposure::Inject {
        header: header.to_owned(),
        format: format.to_owned(),
        to: vec!["https://api.example.com/*".parse().unwrap(); to],
    };
    named("STRIPE_KEY", exposure)
}

fn named(name: &str, exposure: SecretExposure) -> String {
    match SecretGrant::new(name, exposure) {
        Ok(grant) => format!("ok: {}", serde_json::to_string(&grant).unwrap()),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_secret_has_a_name_like_a_variable() {
    assert_snapshot!(named("STRIPE_KEY", SecretExposure::Env), @r#"ok: {"name":"STRIPE_KEY","exposure":"env"}"#);
    assert_snapshot!(named("_k1", SecretExposure::Config), @r#"ok: {"name":"_k1","exposure":"config"}"#);
    assert_snapshot!(named("stripe-key", SecretExposure::Env), @"error: secret name `stripe-key` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(named("", SecretExposure::Env), @"error: secret name `` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(named(&"K".repeat(300), SecretExposure::Env), @"error: secret name has 300 bytes, the longest has 256");
}

#[test]
fn an_injected_secret_goes_into_a_header_of_named_requests() {
    assert_snapshot!(inject("authorization", "Bearer {}", 1), @r#"ok: {"name":"STRIPE_KEY","exposure":{"inject":{"header":"authorization","format":"Bearer {}","to":["https://api.example.com/*"]}}}"#);
    assert_snapshot!(inject("x-api-key", "{}", 1), @r#"ok: {"name":"STRIPE_KEY","exposure":{"inject":{"header":"x-api-key","format":"{}","to":["https://api.example.com/*"]}}}"#);
    assert_snapshot!(inject("x-api-key", "{}", 0), @r#"error: secret `STRIPE_KEY` goes into 0 kinds of requests, write 1 to 64, for example `to = ["https://api.example.com/*"]`"#);
    assert_snapshot!(inject("x-api-key", "{}", 65), @r#"error: secret `STRIPE_KEY` goes into 65 kinds of requests, write 1 to 64, for example `to = ["https://api.example.com/*"]`"#);
}

#[test]
fn no_secret_frames_or_routes_a_request() {
    for header in HEADERS_REFUSED {
        assert!(inject(header, "{}", 1).starts_with("error"), "{header}");
    }
    assert_snapshot!(inject("host", "{}", 1), @"error: header `host` frames or routes the request and cannot carry a secret, write for example `authorization`");
    assert_snapshot!(inject("Authorization", "{}", 1), @r#"ok: {"name":"STRIPE_KEY","exposure":{"inject":{"header":"authorization","format":"{}","to":["https://api.example.com/*"]}}}"#);
    assert_snapshot!(inject("x y", "{}", 1), @"error: `x y` is not a header name, write for example `authorization`");
    assert_snapshot!(inject("", "{}", 1), @"error: `` is not a header name, write for example `authorization`");
    assert_snapshot!(inject(":authority", "{}", 1), @"error: `:authority` is not a header name, write for example `authorization`");
}

#[test]
fn a_format_has_one_place_for_the_secret() {
    assert_snapshot!(inject("x-key", "Bearer", 1), @"error: format `Bearer` must be printable ASCII with `{}` exactly once, write for example `Bearer {}`");
    assert_snapshot!(inject("x-key", "{} {}", 1), @"error: format `{} {}` must be printable ASCII with `{}` exactly once, write for example `Bearer {}`");
    assert_snapshot!(inject("x-key", "a\r\nb: {}", 1), @r"error: format `a\r\nb: {}` must be printable ASCII with `{}` exactly once, write for example `Bearer {}`");
    assert_snapshot!(inject("x-key", " {}", 1), @"error: format ` {}` must be printable ASCII with `{}` exactly once, write for example `Bearer {}`");
    assert_snapshot!(inject("x-key", "é{}", 1), @"error: format `é{}` must be printable ASCII with `{}` exactly once, write for example `Bearer {}`");
}

#[test]
fn a_value_never_prints_itself() {
    let secret = SecretText::new("hunter2").unwrap();
    assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
    assert_eq!(secret.expose(), "hunter2");
    assert_snapshot!(serde_json::to_string(&secret).unwrap(), @r#""hunter2""#);
    assert_snapshot!(SecretText::new("hunter2\0").unwrap_err(), @"secret contains a zero byte");
    assert_snapshot!(SecretText::new("x".repeat(70_000)).unwrap_err(), @"secret has 70000 bytes, the longest has 65536");
    let from_json = serde_json::from_str::<SecretText>("\"hunter2\\u0000\"");
    assert!(!from_json.unwrap_err().to_string().contains("hunter2"));
    assert_snapshot!(placeholder("STRIPE_KEY"), @"midge-secret:STRIPE_KEY");
}

proptest! {
    #[test]
    fn a_value_survives_the_pipe(text in "[^\0]{0,40}") {
        let secret = SecretText::new(text).unwrap();
        let json = serde_json::to_string(&secret).unwrap();
        prop_assert_eq!(serde_json::from_str::<SecretText>(&json).unwrap(), secret);
    }
}
