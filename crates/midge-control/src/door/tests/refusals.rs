//! What is refused, in which words: whole answers.

use insta::assert_snapshot;

use super::kit::Stage;
use crate::door::attempts::ATTEMPTS_MAX;

#[tokio::test]
async fn a_request_without_a_good_token() {
    let stage = Stage::open().await;
    let none = stage.ask("GET /v1/whoami", &[], "").await;
    assert_snapshot!(none, @r#"
    HTTP/1.1 401 Unauthorized
    content-type: application/problem+json
    www-authenticate: Bearer realm="midge"
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"A valid token is needed","status":401,"code":"unauthenticated","detail":"a token is needed that is known, not expired and not revoked","hint":"run `midge login`, or send `authorization: Bearer mdg_…`","request_id":"…"}
    "#);
    // Who shows no token guesses none, and neither does who shows it in another way.
    for _ in 0..2 * ATTEMPTS_MAX {
        let basic = stage
            .ask("GET /v1/whoami", &[("authorization", "Basic YTpi")], "")
            .await;
        assert!(basic.starts_with("HTTP/1.1 401"), "{basic}");
    }
    let wrong = [("authorization", "Bearer mdg_nobody")];
    for _ in 0..ATTEMPTS_MAX {
        let refused = stage.ask("GET /v1/whoami", &wrong, "").await;
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    }
    let limited = stage.ask("GET /v1/whoami", &wrong, "").await;
    assert!(limited.contains("retry-after: "), "{limited}");
    assert!(
        limited.starts_with("HTTP/1.1 429") && limited.contains("rate-limited"),
        "{limited}"
    );
    // A good one from the same address passes: who floods locks nobody out.
    let good = stage.ask_as_admin("GET /v1/whoami", "").await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    // Two are none.
    let bearer = format!("Bearer {}", stage.token);
    let twice = [
        ("authorization", bearer.as_str()),
        ("authorization", bearer.as_str()),
    ];
    let twice = stage.ask("GET /v1/whoami", &twice, "").await;
    assert!(twice.starts_with("HTTP/1.1 401"), "{twice}");
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let stage = Stage::open().await;
    assert_snapshot!(stage.ask("GET /v2/whoami", &[], "").await, @r#"
    HTTP/1.1 404 Not Found
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"There is no such thing","status":404,"code":"not-found","detail":"there is no such path","request_id":"…"}
    "#);
    assert_snapshot!(stage.ask("PATCH /v1/namespaces", &[], "").await, @r#"
    HTTP/1.1 405 Method Not Allowed
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff
    allow: GET,HEAD,POST

    {"type":"about:blank","title":"The path has no such method","status":405,"code":"method-not-allowed","detail":"this path has no method `PATCH`","request_id":"…"}
    "#);
    let options = stage.ask("OPTIONS /v1/whoami", &[], "").await;
    assert!(options.starts_with("HTTP/1.1 405"), "{options}");
    assert!(!options.contains("access-control"), "{options}");
}

#[tokio::test]
async fn bodies_that_are_not_what_is_taken() {
    let stage = Stage::open().await;
    let ask = |body: &'static str| stage.ask_as_admin("POST /v1/namespaces", body);
    assert_snapshot!(ask("{").await, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"body: EOF while parsing an object at line 1 column 1","request_id":"…"}
    "#);
    assert_snapshot!(ask(r#"{"nam":"a"}"#).await, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"body: key `nam` is unknown, did you mean `name`?","request_id":"…"}
    "#);
    assert_snapshot!(ask(r#"{"name":"A"}"#).await, @r#"
    HTTP/1.1 422 Unprocessable Entity
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request cannot be fulfilled","status":422,"code":"invalid","detail":"name `A` has 'A' at position 0, write lower-case letters, digits and `-` only","request_id":"…"}
    "#);
    assert_snapshot!(ask(r#"["a"]"#).await, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"body: an array stands where an object should","request_id":"…"}
    "#);
    let bearer = format!("Bearer {}", stage.token);
    let form = [
        ("authorization", bearer.as_str()),
        ("content-type", "text/plain"),
    ];
    assert_snapshot!(stage.ask("POST /v1/namespaces", &form, "{}").await, @r#"
    HTTP/1.1 415 Unsupported Media Type
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The body has another media type","status":415,"code":"unsupported-media-type","detail":"the body's `content-type` is not `application/json`","request_id":"…"}
    "#);
}

#[tokio::test]
async fn parameters_that_are_not_what_is_taken() {
    let stage = Stage::open().await;
    let path = stage.ask_as_admin("GET /v1/namespaces/Shop", "").await;
    assert_snapshot!(path, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"name `Shop` has 'S' at position 0, write lower-case letters, digits and `-` only","request_id":"…"}
    "#);
    let utf8 = stage.ask_as_admin("GET /v1/namespaces/%ff%fe", "").await;
    assert_snapshot!(utf8, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"Invalid UTF-8 in `namespace`","request_id":"…"}
    "#);
    let query = stage.ask_as_admin("GET /v1/namespaces?limt=1", "").await;
    assert_snapshot!(query, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"query: limt: unknown field `limt`, expected `cursor` or `limit`","request_id":"…"}
    "#);
    let limit = stage
        .ask_as_admin("GET /v1/namespaces?limit=1001", "")
        .await;
    assert_snapshot!(limit, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"limit is 1001, write 1 to 1000","request_id":"…"}
    "#);
}

#[tokio::test]
async fn fields_that_are_not_what_is_taken() {
    let stage = Stage::open().await;
    let bearer = format!("Bearer {}", stage.token);
    let tag = [("authorization", bearer.as_str()), ("if-match", "W/\"1\"")];
    let weak = stage
        .ask("DELETE /v1/namespaces/default/functions/hello", &tag, "")
        .await;
    assert_snapshot!(weak, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"`if-match` is not one version in quotes, such as `\"123\"`","request_id":"…"}
    "#);
    let nowhere = stage
        .ask(
            "DELETE /v1/namespaces/shop",
            &[tag[0], ("if-match", "\"1\"")],
            "",
        )
        .await;
    assert_snapshot!(nowhere, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"The request is malformed","status":400,"code":"invalid-request","detail":"this operation compares no versions, leave `if-match` out","request_id":"…"}
    "#);
    let image = [tag[0], ("accept", "image/png")];
    stage.deploy("hello").await;
    let logs = stage
        .ask(
            "GET /v1/namespaces/default/functions/hello/logs",
            &image,
            "",
        )
        .await;
    assert_snapshot!(logs, @r#"
    HTTP/1.1 406 Not Acceptable
    content-type: application/problem+json
    cache-control: no-store
    x-content-type-options: nosniff

    {"type":"about:blank","title":"No acceptable media type","status":406,"code":"not-acceptable","detail":"lines come as `application/json` or as `text/event-stream`","request_id":"…"}
    "#);
}
