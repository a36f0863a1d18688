//! From TOML with spans to [`Case`]s.
//!
//! Decides which keys there are and which types their values become.
//!
//! **Invariant:** the tables are read in the order of the file, so the error shown is the first one
//! a reader meets.

mod given;
mod values;

use std::collections::{BTreeMap, HashSet};

use http::{HeaderMap, StatusCode};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::given::given;
use self::values::{Contents, headers, json, pattern};
use super::{
    Case, CaseProblem, CaseRequest, Cases, Content, Expect, ExpectBody, ExpectHeader, Given, TOP,
    header_name,
};
use crate::document::{
    Entry, Keys, Lines, Located, Problem, at, at_start, entries, in_order, unknown_was_refused,
};
use crate::method;

const TOP_KEYS: Keys = Keys {
    known: &["given", "case"],
    planned: &[],
};
const CASE_KEYS: Keys = Keys {
    known: &[
        "name",
        "request",
        "headers",
        "body",
        "body-file",
        "json",
        "expect",
        "given",
    ],
    planned: &[],
};
const REQUEST_KEYS: Keys = Keys {
    known: &["method", "path", "headers", "body", "body-file", "json"],
    planned: &[],
};
const EXPECT_KEYS: Keys = Keys {
    known: &[
        "status",
        "headers",
        "body",
        "body-file",
        "body-matches",
        "json",
    ],
    planned: &[],
};
const EXPECT_HEADER_KEYS: Keys = Keys {
    known: &["matches", "absent"],
    planned: &[],
};

const CASE: &str = "[[case]]";
const EXPECT: &str = "[case.expect]";

/// A problem of a case, at its place.
fn wrong<T>(place: &Spanned<T>, problem: CaseProblem) -> Located {
    at(place, Problem::Case(problem))
}

pub(super) fn cases(document: &DeTable<'_>, lines: &Lines) -> Result<Cases, Located> {
    let mut all = Given::default();
    let mut cases: Vec<Case> = Vec::new();
    let mut names = HashSet::new();
    for top in entries(document, TOP, &TOP_KEYS)? {
        match top.key.get_ref().as_ref() {
            "given" => all = given(top, "[given]")?,
            "case" => {
                for value in top.list("a table that begins with `[[case]]`")? {
                    let (case, name) = one(top.with(value), lines)?;
                    if !names.insert(case.name.clone()) {
                        return Err(wrong(name, CaseProblem::SameName(case.name)));
                    }
                    cases.push(case);
                }
            }
            _ => unknown_was_refused(),
        }
    }
    if cases.is_empty() {
        return Err(at_start(Problem::Case(CaseProblem::NoCase)));
    }
    Ok(Cases { cases, all })
}

/// A case, and where its name stands.
fn one<'a, 't>(
    entry: Entry<'a, 't>,
    lines: &Lines,
) -> Result<(Case, &'a Spanned<DeValue<'t>>), Located> {
    let content = entry.table_value("a table that begins with `[[case]]`")?;
    let (mut name, mut request, mut headers_here) = (None, None, None);
    let (mut expect, mut own) = (Expect::default(), Given::default());
    let mut contents = Contents::default();
    for entry in entries(content, CASE, &CASE_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "name" => name = Some((filled(entry, "name")?, entry.value)),
            "request" => request = Some((read_request(entry)?, entry)),
            "headers" => headers_here = Some(headers(entry, CASE)?),
            "body" | "body-file" | "json" => contents.take(entry)?,
            "expect" => expect = read_expect(entry)?,
            "given" => own = given(entry, "[case.given]")?,
            _ => unknown_was_refused(),
        }
    }
    let missing = |key| {
        let table = CASE.to_owned();
        at(entry.value, Problem::Missing { table, key })
    };
    let (name, place) = name.ok_or_else(|| missing("name"))?;
    let (mut request, written) = request.ok_or_else(|| missing("request"))?;
    if let Some(headers) = headers_here {
        request.headers.extend(headers);
    }
    if !contents.is_empty() {
        if request.body != Content::Nothing {
            let (first, second) = ("request.body", "body");
            return Err(wrong(written.value, CaseProblem::Both { first, second }));
        }
        request.body = contents.content();
        if let Content::Json(_) = request.body {
            values::say_json(&mut request.headers);
        }
    }
    let case = Case {
        name,
        line: lines.line(entry.value.span().start),
        request,
        expect,
        given: own,
    };
    Ok((case, place))
}

fn filled(entry: Entry<'_, '_>, key: &'static str) -> Result<String, Located> {
    let text = entry.text()?;
    if text.trim().is_empty() {
        let table = entry.table.to_owned();
        return Err(at(entry.value, Problem::Empty { key, table }));
    }
    Ok(text.to_owned())
}

/// `GET /path`, or a table that says it piece by piece.
fn read_request(entry: Entry<'_, '_>) -> Result<CaseRequest, Located> {
    const EXPECTED: &str = "text such as `GET /orders/7`, or a table";
    const TABLE: &str = "[case.request]";
    if let Some(text) = entry.value.get_ref().as_str() {
        return request_line(entry, text);
    }
    let content = entry.table_value(EXPECTED)?;
    let (mut method, mut path, mut fields) = (http::Method::GET, None, HeaderMap::new());
    let mut contents = Contents::default();
    for entry in entries(content, TABLE, &REQUEST_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "method" => method = read_method(entry, entry.text()?)?,
            "path" => path = Some(read_target(entry, entry.text()?)?),
            "headers" => fields = headers(entry, TABLE)?,
            "body" | "body-file" | "json" => contents.take(entry)?,
            _ => unknown_was_refused(),
        }
    }
    let table = TABLE.to_owned();
    let key = "path";
    let target = path.ok_or_else(|| at(entry.value, Problem::Missing { table, key }))?;
    if let Content::Json(_) = contents.content() {
        values::say_json(&mut fields);
    }
    Ok(CaseRequest {
        method,
        target,
        headers: fields,
        body: contents.content(),
    })
}

fn request_line(entry: Entry<'_, '_>, text: &str) -> Result<CaseRequest, Located> {
    let (method, target) = text
        .split_once(' ')
        .ok_or_else(|| wrong(entry.value, CaseProblem::NoPath(short(text))))?;
    Ok(CaseRequest {
        method: read_method(entry, method)?,
        target: read_target(entry, target.trim())?,
        headers: HeaderMap::new(),
        body: Content::Nothing,
    })
}

fn read_method(entry: Entry<'_, '_>, text: &str) -> Result<http::Method, Located> {
    method::parse(text).map_err(|problem| {
        let text = short(text);
        wrong(entry.value, CaseProblem::Method { text, problem })
    })
}

fn read_target(entry: Entry<'_, '_>, text: &str) -> Result<String, Located> {
    let is_sent = text.starts_with('/')
        && text.bytes().all(|it| it.is_ascii_graphic() && it != b'#')
        && text.parse::<http::uri::PathAndQuery>().is_ok();
    if is_sent {
        return Ok(text.to_owned());
    }
    Err(wrong(entry.value, CaseProblem::Path(short(text))))
}

/// Of a text that a message repeats.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn read_expect(entry: Entry<'_, '_>) -> Result<Expect, Located> {
    let mut expect = Expect::default();
    let mut body_key = None;
    let content = entry.table_value("a table such as `{ status = 200 }`")?;
    for entry in entries(content, EXPECT, &EXPECT_KEYS)? {
        let body = match entry.key.get_ref().as_ref() {
            "status" => {
                expect.status = Some(status(entry)?);
                continue;
            }
            "headers" => {
                expect.headers = expect_headers(entry)?;
                continue;
            }
            "body" => ("body", ExpectBody::Text(entry.text()?.to_owned())),
            "body-file" => ("body-file", ExpectBody::File(entry.text()?.into())),
            "body-matches" => ("body-matches", ExpectBody::Matches(pattern(entry)?)),
            "json" => ("json", ExpectBody::Json(json(entry.value)?)),
            _ => unknown_was_refused(),
        };
        let (second, body) = body;
        if let Some(first) = body_key {
            return Err(wrong(entry.key, CaseProblem::Both { first, second }));
        }
        body_key = Some(second);
        expect.body = Some(body);
    }
    Ok(expect)
}

fn status(entry: Entry<'_, '_>) -> Result<StatusCode, Located> {
    let number = entry.number("a number such as `200`")?;
    let status = u16::try_from(number).ok();
    status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| wrong(entry.value, CaseProblem::Status(number)))
}

fn expect_headers(entry: Entry<'_, '_>) -> Result<BTreeMap<String, ExpectHeader>, Located> {
    const TABLE: &str = "[case.expect.headers]";
    let content = entry.table_value("a table such as `{ content-type = \"text/plain\" }`")?;
    let mut expected = BTreeMap::new();
    for (key, value) in in_order(content) {
        let name = header_name(key.get_ref()).map_err(|problem| wrong(key, problem))?;
        let entry = Entry {
            table: TABLE,
            key,
            value,
        };
        expected.insert(name.as_str().to_owned(), expect_header(entry)?);
    }
    Ok(expected)
}

fn expect_header(entry: Entry<'_, '_>) -> Result<ExpectHeader, Located> {
    const EXPECTED: &str = "text, `{ matches = \"…\" }` or `{ absent = true }`";
    if let Some(text) = entry.value.get_ref().as_str() {
        return Ok(ExpectHeader::Is(text.to_owned()));
    }
    let table = entry.inner_table();
    let mut expected = None;
    let content = entry.table_value(EXPECTED)?;
    for entry in entries(content, &table, &EXPECT_HEADER_KEYS)? {
        if expected.is_some() {
            let (first, second) = ("matches", "absent");
            return Err(wrong(entry.key, CaseProblem::Both { first, second }));
        }
        expected = Some(match entry.key.get_ref().as_ref() {
            "matches" => ExpectHeader::Matches(pattern(entry)?),
            "absent" if entry.boolean()? => ExpectHeader::Absent,
            "absent" => return Err(entry.wrong_type("`true`, or leave it out")),
            _ => unknown_was_refused(),
        });
    }
    expected.ok_or_else(|| entry.wrong_type(EXPECTED))
}
