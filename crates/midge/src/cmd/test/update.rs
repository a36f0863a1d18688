//! Expectations rewritten to what came, where they stand.
//!
//! Decides what of a case is rewritten: what differs, and nothing else. A pattern is its author's to
//! change, and a case in which the function gave no answer has nothing to write down. Nor has one in
//! which a server that it asked has no answer in the case: what came is about that.
//!
//! **Invariant:** comments, order and spelling of all that did not differ stay as they were.

use anyhow::Context as _;
use http::header::CONTENT_TYPE;
use midge_model::cases::{Expect, ExpectBody, ExpectHeader};
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

use super::Verdict;
use super::act::Reply;
use super::compare::{header_text, subset};
use super::files::{CaseFile, Planned};
use crate::cmd::fault::hinted;
use crate::say;

mod json;

/// Rewrites the files of cases that failed; which of `planned` are right now.
///
/// # Errors
///
/// A file cannot be written.
pub(super) fn update(
    files: &[CaseFile],
    planned: &[Planned<'_>],
    verdicts: &[Verdict],
) -> anyhow::Result<Vec<usize>> {
    let mut updated = Vec::new();
    for file in files {
        let path = &file.path;
        let mut document: DocumentMut = file
            .text
            .parse()
            .with_context(|| format!("read `{}` again", path.display()))?;
        for (index, (planned, verdict)) in planned.iter().zip(verdicts).enumerate() {
            if !std::ptr::eq(planned.file, file) || verdict.is_good() {
                continue;
            }
            let Ok(reply) = &verdict.act.reply else {
                continue;
            };
            if reply.not_expected(&planned.case.expect).is_some() {
                continue;
            }
            if verdict.act.lacks_stand_in() {
                say::line(&format!(
                    "{} stays as it is: a server that it asked has no answer in the case",
                    planned.name()
                ));
                continue;
            }
            let case = case(&mut document, planned.index)
                .with_context(|| format!("find `{}` in `{}`", planned.case.name, path.display()))?;
            if rewrite(case, planned, reply)? {
                updated.push(index);
            }
        }
        let text = document.to_string();
        if text != file.text {
            let written = std::fs::write(path, text);
            written.with_context(|| format!("write `{}`", path.display()))?;
            super::say_written(path, "what came is written into");
        }
    }
    Ok(updated)
}

/// The table of the case at this place: `[[case]]`, or an element of `case = [...]`.
fn case(document: &mut DocumentMut, index: usize) -> Option<&mut dyn TableLike> {
    match document.get_mut("case")? {
        Item::ArrayOfTables(tables) => tables.get_mut(index).map(|table| table as _),
        Item::Value(Value::Array(cases)) => {
            let case = cases.get_mut(index)?.as_inline_table_mut()?;
            Some(case as _)
        }
        _ => None,
    }
}

/// Writes what came over what was expected; whether nothing is left that differs.
fn rewrite(case: &mut dyn TableLike, planned: &Planned<'_>, reply: &Reply) -> anyhow::Result<bool> {
    let expect = &planned.case.expect;
    if !case.contains_key("expect") {
        case.insert("expect", Item::Table(Table::new()));
    }
    let table = case.get_mut("expect").and_then(Item::as_table_like_mut);
    let table = table.context("`expect` is no table")?;
    if expect.is_empty() {
        write_all(table, reply);
        return Ok(true);
    }
    if expect.status.is_some_and(|status| status != reply.status) {
        put(table, "status", i64::from(reply.status.as_u16()).into());
    }
    let headers = rewrite_headers(table, expect, reply);
    let body = rewrite_body(table, planned, reply)?;
    Ok(headers && body)
}

/// All that a case without expectations is worth: status, type and body.
fn write_all(table: &mut dyn TableLike, reply: &Reply) {
    put(table, "status", i64::from(reply.status.as_u16()).into());
    if let Some(kind) = header_text(&reply.headers, CONTENT_TYPE.as_str()) {
        let mut headers = InlineTable::new();
        headers.insert(CONTENT_TYPE.as_str(), text(&kind));
        put(table, "headers", headers.into());
    }
    if let Ok(body) = str::from_utf8(&reply.body) {
        put(table, "body", text(body));
    }
}

fn rewrite_headers(table: &mut dyn TableLike, expect: &Expect, reply: &Reply) -> bool {
    let mut is_good = true;
    let headers = table.get_mut("headers").and_then(Item::as_table_like_mut);
    let Some(headers) = headers else {
        return true;
    };
    for (name, expected) in &expect.headers {
        let found = header_text(&reply.headers, name);
        // As somebody spelt it: `X-Language` or `x-language`.
        let key = headers.iter().map(|(key, _)| key.to_owned());
        let Some(key) = key.into_iter().find(|key| key.eq_ignore_ascii_case(name)) else {
            continue;
        };
        match (expected, found) {
            (ExpectHeader::Is(expected), Some(found)) if *expected != found => {
                put(headers, &key, text(&found));
            }
            (ExpectHeader::Is(_), Some(_)) | (ExpectHeader::Absent, None) => {}
            (ExpectHeader::Is(_), None) => {
                let mut absent = InlineTable::new();
                absent.insert("absent", true.into());
                put(headers, &key, absent.into());
            }
            (ExpectHeader::Absent, Some(found)) => put(headers, &key, text(&found)),
            (ExpectHeader::Matches(pattern), found) => {
                is_good &= found.is_some_and(|found| pattern.is_found_in(&found));
            }
        }
    }
    is_good
}

fn rewrite_body(
    table: &mut dyn TableLike,
    planned: &Planned<'_>,
    reply: &Reply,
) -> anyhow::Result<bool> {
    let Some(expected) = &planned.case.expect.body else {
        return Ok(true);
    };
    match expected {
        ExpectBody::Text(expected) if expected.as_bytes() == reply.body => Ok(true),
        ExpectBody::Text(_) => match str::from_utf8(&reply.body) {
            Ok(body) => {
                put(table, "body", text(body));
                Ok(true)
            }
            Err(_) => Ok(false),
        },
        ExpectBody::File(path) => {
            let written = planned.file.write_beside(path, &reply.body);
            written.map_err(hinted)?;
            Ok(true)
        }
        ExpectBody::Matches(pattern) => {
            Ok(str::from_utf8(&reply.body).is_ok_and(|body| pattern.is_found_in(body)))
        }
        ExpectBody::Json(expected) => {
            let Ok(found) = serde_json::from_slice(&reply.body) else {
                return Ok(false);
            };
            let mut is_good = true;
            let Some(item) = table.get_mut("json") else {
                return Ok(false);
            };
            for difference in subset(expected, &found) {
                is_good &= json::put(item, &difference);
            }
            Ok(is_good)
        }
    }
}

/// Puts a value under a key, with the spaces and comments of the one that was there.
fn put(table: &mut dyn TableLike, key: &str, mut new: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        None => {
            table.insert(key, value(new));
        }
    }
}

/// Text on one line with its escapes, as people write the bodies of cases; of many lines as they are.
fn text(text: &str) -> Value {
    if text.trim_end_matches('\n').contains('\n') {
        return text.into();
    }
    let mut line = String::from("\"");
    for found in text.chars() {
        match found {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            found if found.is_control() => {
                line.push_str(&format!("\\u{:04X}", u32::from(found)));
            }
            found => line.push(found),
        }
    }
    line.push('"');
    line.parse().unwrap_or_else(|_| text.into())
}
