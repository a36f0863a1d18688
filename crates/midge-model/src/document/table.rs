//! TOML tables with the place of every key and value.
//!
//! By hand instead of derived, because this can tell a slip from a key that is planned
//! and point at either. Decides nothing about which keys there are.
//!
//! **Invariant:** every error carries the byte it is about.

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::{Located, Problem, at};
use crate::suggest::nearest;

/// One key with its value, and the table it stands in.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a, 't> {
    pub(crate) table: &'a str,
    pub(crate) key: &'a Spanned<DeString<'t>>,
    pub(crate) value: &'a Spanned<DeValue<'t>>,
}

/// The keys of one kind of table: those that work, and those that are planned.
pub(crate) struct Keys {
    pub(crate) known: &'static [&'static str],
    pub(crate) planned: &'static [&'static str],
}

impl<'a, 't> Entry<'a, 't> {
    pub(crate) fn text(self) -> Result<&'a str, Located> {
        self.value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.wrong_type("text in quotes"))
    }

    /// Text, or a number as text: the quantity's own parser has the better message for it.
    pub(crate) fn quantity(self, expected: &'static str) -> Result<String, Located> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(number.to_string()),
            DeValue::Float(number) => Ok(number.to_string()),
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                Err(self.wrong_type(expected))
            }
        }
    }

    pub(crate) fn number(self, expected: &'static str) -> Result<i64, Located> {
        let number = self
            .value
            .get_ref()
            .as_integer()
            .ok_or_else(|| self.wrong_type(expected))?;
        // What does not fit is out of any range, so the largest number stands for it.
        Ok(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(i64::MAX))
    }

    pub(crate) fn boolean(self) -> Result<bool, Located> {
        self.value
            .get_ref()
            .as_bool()
            .ok_or_else(|| self.wrong_type("`true` or `false`"))
    }

    pub(crate) fn list(self, expected: &'static str) -> Result<&'a DeArray<'t>, Located> {
        self.value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong_type(expected))
    }

    pub(crate) fn table_value(self, expected: &'static str) -> Result<&'a DeTable<'t>, Located> {
        self.value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong_type(expected))
    }

    /// The same key with another value: one of its list's.
    pub(crate) fn with(self, value: &'a Spanned<DeValue<'t>>) -> Self {
        Self { value, ..self }
    }

    pub(crate) fn missing(self, key: &'static str) -> Located {
        let table = self.inner_table();
        at(self.value, Problem::Missing { table, key })
    }

    /// `[function.x.limits]` for the key `limits` in `[function.x]`.
    pub(crate) fn inner_table(self) -> String {
        format!(
            "{}.{}]",
            self.table.trim_end_matches(']'),
            self.key.get_ref()
        )
    }

    pub(crate) fn wrong_type(self, expected: &'static str) -> Located {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let (key, table) = (self.key.get_ref().to_string(), self.table.to_owned());
        at(
            self.value,
            Problem::WrongType {
                key,
                table,
                expected,
                found,
            },
        )
    }
}

/// The table's entries in the order of the file; none of them unknown.
pub(crate) fn entries<'a, 't>(
    content: &'a DeTable<'t>,
    table: &'a str,
    keys: &Keys,
) -> Result<Vec<Entry<'a, 't>>, Located> {
    in_order(content)
        .into_iter()
        .map(|(key, value)| {
            let name: &str = key.get_ref();
            if keys.known.contains(&name) {
                return Ok(Entry { table, key, value });
            }
            let (key_text, table) = (name.to_owned(), table.to_owned());
            if keys.planned.contains(&name) {
                return Err(at(
                    key,
                    Problem::NotYet {
                        key: key_text,
                        table,
                    },
                ));
            }
            let all = keys.known.iter().chain(keys.planned).copied();
            let meant = nearest(name, all);
            Err(at(
                key,
                Problem::UnknownKey {
                    key: key_text,
                    table,
                    meant,
                },
            ))
        })
        .collect()
}

pub(crate) fn in_order<'a, 't>(
    content: &'a DeTable<'t>,
) -> Vec<(&'a Spanned<DeString<'t>>, &'a Spanned<DeValue<'t>>)> {
    let mut entries: Vec<_> = content.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// The `match`es over keys end here: [`entries`] lets only known keys through.
pub(crate) fn unknown_was_refused() -> ! {
    unreachable!("a key is in the list of known keys and not in the match below it")
}
