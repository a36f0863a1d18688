//! Header blocks, plain output, and every way to cut them.

use insta::assert_snapshot;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The head of this output as one piece, and what the client would get.
fn check(output: &str) -> String {
    match parse([output.as_bytes()]) {
        Ok(head) => show(&head),
        Err(error) => format!("error: {error}"),
    }
}

fn show(head: &Head) -> String {
    let mut shown = head.status.to_string();
    for (name, value) in &head.headers {
        shown += &format!(" | {name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    shown + &format!(" | body {:?}", String::from_utf8_lossy(&head.rest))
}

/// The head of output in these pieces, with the whole body in `rest`.
fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Head, HeadError> {
    let mut parser = HeadParser::default();
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        if let Some(mut head) = parser.push(piece)? {
            head.rest.extend(pieces.flatten());
            return Ok(head);
        }
    }
    parser.finish()
}

#[test]
fn a_header_block_makes_the_head() {
    assert_snapshot!(check("Content-Type: text/html\n\n<p>"), @r#"200 OK | content-type: text/html | body "<p>""#);
    assert_snapshot!(check("content-type:text/html\r\nX-A: b \r\n\r\n<p>"), @r#"200 OK | content-type: text/html | x-a: b | body "<p>""#);
    assert_snapshot!(check("Status: 404 Not Found\nX-A: 1\nX-A: 2\n\n"), @r#"404 Not Found | x-a: 1 | x-a: 2 | body """#);
    assert_snapshot!(check("Status: 204\n\n"), @r#"204 No Content | body """#);
}

#[test]
fn a_location_is_a_redirect() {
    assert_snapshot!(check("Location: https://example.net/\n\n"), @r#"302 Found | location: https://example.net/ | body """#);
    assert_snapshot!(check("Location: /here\nStatus: 308 Permanent Redirect\n\n"), @r#"308 Permanent Redirect | location: /here | body """#);
}

#[test]
fn anything_else_is_plain_output() {
    assert_snapshot!(check("hello\n"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "hello\n""#);
    assert_snapshot!(check("<html>"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "<html>""#);
    assert_snapshot!(check(""), @r#"200 OK | content-type: text/plain; charset=utf-8 | body """#);
    assert_snapshot!(check("\nContent-Type: x\n\n"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "\nContent-Type: x\n\n""#);
    assert_snapshot!(check("note: this is\n\na letter"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "note: this is\n\na letter""#);
    assert_snapshot!(check("Content-Type: text/html"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "Content-Type: text/html""#);
    assert_snapshot!(check("Content-Type: text/html\n<p>no empty line</p>\n\n"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "Content-Type: text/html\n<p>no empty line</p>\n\n""#);
    assert_snapshot!(check("Content-Type : x\n\n"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "Content-Type : x\n\n""#);
    assert_snapshot!(check("Content-Type: x\n folded\n\n"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "Content-Type: x\n folded\n\n""#);
    assert_snapshot!(check("HTTP/1.1 200 OK\r\nContent-Type: x\r\n\r\n"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body "HTTP/1.1 200 OK\r\nContent-Type: x\r\n\r\n""#);
    assert_snapshot!(check(": x\n\n"), @r#"200 OK | content-type: text/plain; charset=utf-8 | body ": x\n\n""#);
}

#[test]
fn plain_output_is_known_at_its_first_byte_that_is_no_header() {
    let mut parser = HeadParser::default();
    assert_eq!(parser.push(b"hello"), Ok(None));
    assert!(parser.push(b" ").unwrap().is_some());
}

#[test]
fn a_guest_cannot_frame_the_message() {
    let output = "Status: 200\nConnection: close\nTransfer-Encoding: chunked\nUpgrade: x\n\
        Keep-Alive: x\nTE: x\nTrailer: x\nProxy-Authenticate: x\n\n";
    assert_snapshot!(check(output), @r#"200 OK | body """#);
    assert_snapshot!(check("Status: 200\nContent-Length: 1, 2\n\n"), @"error: header `content-length` has a value that HTTP does not allow");
    assert_snapshot!(check("Status: 200\nContent-Length:\n\n"), @"error: header `content-length` has a value that HTTP does not allow");
    assert_snapshot!(check("Status: 200\nContent-Length: 1\nContent-Length: 2\n\n"), @"error: header `content-length` is given twice");
}

#[test]
fn a_bad_block_is_an_error_and_not_a_body() {
    assert_snapshot!(check("Status: fine\n\n"), @"error: status `fine` is not a code from 200 to 599, write for example `404 Not Found`");
    assert_snapshot!(check("Status: 101 Switching Protocols\n\n"), @"error: status `101 Switching Protocols` is not a code from 200 to 599, write for example `404 Not Found`");
    assert_snapshot!(check("Status: 999\n\n"), @"error: status `999` is not a code from 200 to 599, write for example `404 Not Found`");
    assert_snapshot!(check("Status: 200\nStatus: 200\n\n"), @"error: header `status` is given twice");
    assert_snapshot!(check("Content-Type: a\nContent-Type: b\n\n"), @"error: header `content-type` is given twice");
    assert_snapshot!(check("Status: 200\nX-A: a\u{7}b\n\n"), @"error: header `x-a` has a value that HTTP does not allow");
    assert_snapshot!(check("Status: 200\nX-A: a\rb\n\n"), @"error: header `x-a` has a value that HTTP does not allow");
}

#[test]
fn a_block_is_bounded_in_bytes_and_fields() {
    let long = format!("Status: 200\nX-A: {}\n\n", "a".repeat(HEAD_BYTES_MAX));
    assert_snapshot!(check(&long), @"error: header block is longer than 65536 bytes, is the empty line after it missing?");
    let many = format!("Status: 200\n{}\n", "X-A: a\n".repeat(HEAD_FIELDS_MAX));
    assert_snapshot!(check(&many), @"error: header block has more than 100 fields");
    let most = format!("Status: 200\n{}\n", "X-A: a\n".repeat(HEAD_FIELDS_MAX - 1));
    assert!(check(&most).starts_with("200 OK"));
}

#[test]
fn long_plain_output_that_looks_like_headers_is_plain() {
    let lines = "key: value\n".repeat(HEAD_BYTES_MAX);
    assert_eq!(parse([lines.as_bytes()]).unwrap().rest.len(), lines.len());
    let line = format!("key: {}", "x".repeat(HEAD_BYTES_MAX));
    assert_eq!(parse([line.as_bytes()]).unwrap().rest.len(), line.len());
}

/// Output that is often a header block, or nearly.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("Content-Type: text/html"),
        Just("Status: 404 Not Found"),
        Just("Location: /x"),
        Just("X-A: b"),
        Just("X-A:"),
        Just("Content-Length: 3"),
        Just("no header"),
        Just("Bad\u{1}: x"),
        Just(""),
    ];
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just("")];
    let lines = vec((line, end), 0..8);
    lines.prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|(line, end)| [line, end].concat().into_bytes())
            .collect()
    })
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_head(output in output(), cuts in vec(1..9_usize, 1..20)) {
        let mut left = &output[..];
        let mut pieces = Vec::new();
        for size in cuts.iter().cycle() {
            if left.is_empty() {
                break;
            }
            let (piece, below) = left.split_at((*size).min(left.len()));
            pieces.push(piece);
            left = below;
        }
        prop_assert_eq!(parse(pieces), parse([&output[..]]));
    }

    /// The bound falls at the same byte wherever the cuts are.
    #[test]
    fn any_cut_near_the_bound_gives_the_same_head(
        near in 0..12_usize,
        size in 1..70_000_usize,
        is_block in any::<bool>(),
    ) {
        let start = if is_block { "Status: 200\nX-A: " } else { "X-B: x\nX-A: " };
        let filler = HEAD_BYTES_MAX - start.len() - near;
        let output = format!("{start}{}\r\n\r\nbody", "a".repeat(filler));
        let whole = parse([output.as_bytes()]);
        prop_assert_eq!(whole.is_ok(), !is_block || near >= 4);
        prop_assert_eq!(parse(output.as_bytes().chunks(size)), whole);
    }

    #[test]
    fn never_panics_even_when_used_on(pieces in vec(vec(any::<u8>(), 0..20), 0..20)) {
        let mut parser = HeadParser::default();
        for piece in &pieces {
            let _head = parser.push(piece);
        }
        let _head = parser.finish();
    }
}
