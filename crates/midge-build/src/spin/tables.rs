//! Reading tables of theirs, and writing tables of ours.
//!
//! **Invariant:** a text comes out as the text that it was, on one line, whatever is in it.

use toml::{Table, Value};
use toml_edit::{InlineTable, Table as TableOut};

/// How much of a name is told: it is told with everything that the component lacks.
const SHOWN_CHARS_MAX: usize = 64;

pub(super) fn table_of<'a>(
    table: &'a Table,
    key: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    table
        .get(key)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
}

pub(super) fn texts<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    table_of(table, key).filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

pub(super) fn strings(table: &Table, key: &str) -> Vec<String> {
    let list = table
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    list.filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

pub(super) fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARS_MAX).collect()
}

pub(super) fn put(out: &mut TableOut, key: &str, value: impl Into<toml_edit::Value>) {
    out.insert(key, toml_edit::value(value));
}

/// A text on one line: within one of several, a person would take `[function.x]` for what it is not.
pub(super) fn text(text: &str) -> toml_edit::Value {
    if text.contains('\n') {
        // The escapes of JSON are those of TOML, which wants one more.
        let line = serde_json::Value::from(text).to_string();
        let line = line.replace('\u{7f}', "\\u007F");
        if let Ok(value) = line.parse() {
            return value;
        }
    }
    text.into()
}

pub(super) fn list(texts: &[String]) -> toml_edit::Value {
    texts.iter().map(|each| text(each)).collect()
}

pub(super) fn pair(first: (&str, &str), second: (&str, &str)) -> InlineTable {
    let pairs = [first, second].into_iter();
    pairs.map(|(key, value)| (key, text(value))).collect()
}
