//! Values that stand in several tables of a case: fields, bodies, patterns, JSON.
//!
//! **Invariant:** a body is said once.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::{header_name, wrong};
use crate::cases::{CaseProblem, Content, HEADERS_MAX, Pattern};
use crate::document::{Entry, Located, in_order, unknown_was_refused};

/// A body on its way to be read: which key said it.
#[derive(Default)]
pub(super) struct Contents(Option<(&'static str, Content)>);

impl Contents {
    /// Takes what one of the keys `body`, `body-file` and `json` says.
    pub(super) fn take(&mut self, entry: Entry<'_, '_>) -> Result<(), Located> {
        let (second, content) = match entry.key.get_ref().as_ref() {
            "body" => ("body", Content::Text(entry.text()?.to_owned())),
            "body-file" => ("body-file", Content::File(entry.text()?.into())),
            "json" => ("json", Content::Json(json(entry.value)?)),
            _ => unknown_was_refused(),
        };
        if let Some((first, _)) = self.0.replace((second, content)) {
            return Err(wrong(entry.key, CaseProblem::Both { first, second }));
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn content(&self) -> Content {
        self.0
            .as_ref()
            .map_or(Content::Nothing, |(_, content)| content.clone())
    }
}

/// Names the type of a body that is JSON, unless somebody did.
pub(super) fn say_json(headers: &mut HeaderMap<HeaderValue>) {
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
}

/// Fields, each with one value or a list of them.
pub(super) fn headers(
    entry: Entry<'_, '_>,
    table: &str,
) -> Result<HeaderMap<HeaderValue>, Located> {
    const EXPECTED: &str = "text, or a list of texts";
    let content = entry.table_value("a table such as `{ accept = \"text/plain\" }`")?;
    let mut headers = HeaderMap::new();
    for (key, value) in in_order(content) {
        let name = header_name(key.get_ref()).map_err(|problem| wrong(key, problem))?;
        let entry = Entry { table, key, value };
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().collect(),
            _ => vec![value],
        };
        for value in values {
            let text = value.get_ref().as_str();
            let text = text.ok_or_else(|| entry.with(value).wrong_type(EXPECTED))?;
            let sent = HeaderValue::from_str(text);
            let sent =
                sent.map_err(|_| wrong(value, CaseProblem::HeaderValue(name.to_string())))?;
            if headers.len() >= HEADERS_MAX {
                return Err(wrong(value, CaseProblem::TooManyHeaders));
            }
            headers.append(name.clone(), sent);
        }
    }
    Ok(headers)
}

pub(super) fn pattern(entry: Entry<'_, '_>) -> Result<Pattern, Located> {
    let text = entry.text()?;
    Pattern::new(text).map_err(|reason| {
        let text = super::short(text);
        wrong(entry.value, CaseProblem::Pattern { text, reason })
    })
}

/// JSON that is written as TOML. There is no way to write `null`, so nothing asks for one.
pub(super) fn json(value: &Spanned<DeValue<'_>>) -> Result<Value, Located> {
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            let number = number.map_err(|_| wrong(value, CaseProblem::NotJson("such a number")))?;
            Value::Number(number.into())
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            let number =
                number.ok_or_else(|| wrong(value, CaseProblem::NotJson("such a number")))?;
            Value::Number(number)
        }
        DeValue::Boolean(is) => Value::Bool(*is),
        DeValue::Datetime(_) => return Err(wrong(value, CaseProblem::NotJson("a date"))),
        DeValue::Array(values) => Value::Array(values.iter().map(json).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let mut object = Map::new();
            for (key, value) in in_order(table) {
                object.insert(key.get_ref().to_string(), json(value)?);
            }
            Value::Object(object)
        }
    })
}
