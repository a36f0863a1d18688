//! An answer against what a case expects of it.
//!
//! Decides what differs and draws a picture of it. What is not expected is not looked at.
//!
//! **Invariant:** a case without a difference answered everything that it expects.

mod json;

use http::HeaderMap;
use midge_model::cases::{Expect, ExpectBody, ExpectHeader, Pattern};
use midge_model::quantity::format_bytes;
use similar::TextDiff;

use super::act::{Act, Reply};
use super::files::Planned;
use crate::cmd::fault::chain;

pub(super) use self::json::{JsonDifference, Step, subset};

/// What is compared line by line of each text; longer ones only say where they begin to differ.
const DIFF_BYTES_MAX: usize = 64 << 10;

/// Lines of a picture.
const LINES_MAX: usize = 60;

/// What is shown of a value.
const SHOWN_BYTES_MAX: usize = 400;

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// In one line.
    pub(super) what: String,
    /// Line by line, each with `-` (expected), `+` (found) or a space in front.
    pub(super) picture: Vec<String>,
}

impl Difference {
    fn of(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            picture: Vec::new(),
        }
    }
}

/// All that differs.
pub(super) fn differences(planned: &Planned<'_>, act: &Act) -> Vec<Difference> {
    let reply = match &act.reply {
        Ok(reply) => reply,
        Err(why) => return vec![Difference::of(why.clone())],
    };
    let expect = &planned.case.expect;
    if let Some(why) = reply.not_expected(expect) {
        return vec![Difference::of(why)];
    }
    if expect.is_empty() {
        return vec![Difference::of(
            "nothing is expected yet; `midge test --update` writes down what comes",
        )];
    }
    let mut differences = Vec::new();
    if let Some(expected) = expect.status.filter(|expected| *expected != reply.status) {
        let (expected, found) = (expected.as_u16(), reply.status.as_u16());
        differences.push(Difference::of(format!(
            "status: expected {expected}, got {found}"
        )));
    }
    for (name, expected) in &expect.headers {
        differences.extend(header(name, expected, &reply.headers).map(Difference::of));
    }
    differences.extend(body(planned, reply));
    differences
}

impl Reply {
    /// What is wrong with an answer of Midge's in place of the function's: all of it, unless its
    /// status is expected. Then it is compared as any other.
    pub(super) fn not_expected(&self, expect: &Expect) -> Option<String> {
        let why = self.in_place.as_ref()?;
        match expect.status {
            None => Some(why.clone()),
            Some(expected) if expected == self.status => None,
            Some(expected) => {
                let (expected, found) = (expected.as_u16(), self.status.as_u16());
                Some(format!("status: expected {expected}, got {found}: {why}"))
            }
        }
    }
}

/// The values of a field, as one text.
pub(super) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn header(name: &str, expected: &ExpectHeader, headers: &HeaderMap) -> Option<String> {
    let found = header_text(headers, name);
    match (expected, &found) {
        (ExpectHeader::Is(expected), Some(found)) if expected == found => None,
        (ExpectHeader::Matches(pattern), Some(found)) if pattern.is_found_in(found) => None,
        (ExpectHeader::Absent, None) => None,
        (ExpectHeader::Absent, Some(found)) => Some(format!(
            "header {name}: expected none, got {}",
            shown(found)
        )),
        (ExpectHeader::Is(expected), found) => Some(format!(
            "header {name}: expected {}, got {}",
            shown(expected),
            found.as_deref().map_or("none".to_owned(), shown)
        )),
        (ExpectHeader::Matches(pattern), found) => Some(format!(
            "header {name}: expected something like /{}/, got {}",
            pattern_shown(pattern),
            found.as_deref().map_or("none".to_owned(), shown)
        )),
    }
}

fn body(planned: &Planned<'_>, reply: &Reply) -> Vec<Difference> {
    let text = || str::from_utf8(&reply.body);
    let not_text = || {
        vec![Difference::of(format!(
            "body: {}",
            bytes_shown(&reply.body)
        ))]
    };
    match &planned.case.expect.body {
        None => Vec::new(),
        Some(ExpectBody::Text(_) | ExpectBody::File(_)) => match planned.expected_bytes() {
            Ok(expected) => equal(&expected.unwrap_or_default(), &reply.body)
                .into_iter()
                .collect(),
            Err(error) => vec![Difference::of(chain(&error))],
        },
        Some(ExpectBody::Matches(pattern)) => match text() {
            Ok(text) if pattern.is_found_in(text) => Vec::new(),
            Ok(text) => vec![Difference::of(format!(
                "body: expected something like /{}/, got {}",
                pattern_shown(pattern),
                shown(text)
            ))],
            Err(_) => not_text(),
        },
        Some(ExpectBody::Json(expected)) => match serde_json::from_slice(&reply.body) {
            Ok(found) => {
                let differences = subset(expected, &found);
                let line = |it: JsonDifference| Difference::of(format!("body: {it}"));
                differences.into_iter().map(line).collect()
            }
            Err(error) => {
                let found = text().map_or_else(|_| bytes_shown(&reply.body), shown);
                let what = format!("body: expected JSON, got {found} ({error})");
                vec![Difference::of(what)]
            }
        },
    }
}

fn equal(expected: &[u8], found: &[u8]) -> Option<Difference> {
    if expected == found {
        return None;
    }
    let texts = str::from_utf8(expected)
        .ok()
        .zip(str::from_utf8(found).ok());
    let short = expected.len().max(found.len()) <= DIFF_BYTES_MAX;
    let Some((expected, found)) = texts.filter(|_| short) else {
        let same = expected.iter().zip(found).take_while(|(a, b)| a == b);
        return Some(Difference::of(format!(
            "body: differs from byte {} on, expected {}, got {}",
            same.count(),
            bytes_shown(expected),
            bytes_shown(found)
        )));
    };
    let is_line = |text: &str| text.trim_end_matches('\n').lines().count() <= 1;
    if is_line(expected) && is_line(found) {
        return Some(Difference::of(format!(
            "body: expected {}, got {}",
            shown(expected),
            shown(found)
        )));
    }
    Some(Difference {
        what: "body: - expected, + got".to_owned(),
        picture: picture(expected, found),
    })
}

fn picture(expected: &str, found: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(expected, found);
    let unified = diff.unified_diff().context_radius(2).to_string();
    let mut lines: Vec<_> = unified.lines().map(str::to_owned).collect();
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("… {more} lines more"));
    }
    lines
}

/// The beginning of a text in quotes, on one line.
fn shown(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
    let more = if kept.len() < text.len() { "…" } else { "" };
    format!("{kept:?}{more}")
}

/// A pattern on one line; what it escapes stays as it was written.
fn pattern_shown(pattern: &Pattern) -> String {
    pattern.as_str().replace('\n', "\\n")
}

fn bytes_shown(bytes: &[u8]) -> String {
    let what = match str::from_utf8(bytes) {
        Ok(_) => "text",
        Err(_) => "what is no text",
    };
    format!("{} of {what}", format_bytes(bytes.len() as u64))
}
