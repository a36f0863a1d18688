//! How a manifest writes isolation: a level, or a table with the level and its bounds.

use super::{Entry, Keys, Located, Problem, at, entries, unknown_was_refused};
use crate::isolation::{CONCURRENCY, IDLE, MEMORY, REQUESTS, Wish};
use crate::{Isolation, IsolationError, IsolationLevel};

const EXPECTED: &str = "`\"serial\"`, or a table such as `{ level = \"serial\", requests = 1000 }`";

pub(super) const KEYS: Keys = Keys {
    known: &["level", "requests", "idle", "memory", "concurrency"],
    planned: &[],
};

/// Reads either form.
pub(crate) fn read_isolation(entry: Entry<'_, '_>) -> Result<Isolation, Located> {
    let value = entry.value.get_ref();
    if value.as_str().is_some() {
        return Ok(Isolation::of_level(level(entry)?));
    }
    let content = entry.table_value(EXPECTED)?;
    let table = entry.inner_table();
    let mut wish = Wish::default();
    let (mut has_level, mut places) = (false, Vec::new());
    for entry in entries(content, &table, &KEYS)? {
        let refused = |error| at(entry.value, Problem::Limit(error));
        match entry.key.get_ref().as_ref() {
            "level" => {
                wish.level = level(entry)?;
                has_level = true;
            }
            "requests" => {
                let number = entry.number("a number such as `1000`")?;
                wish.requests = Some(REQUESTS.parse(number).map_err(refused)?);
            }
            "idle" => {
                let text = entry.quantity("a duration such as `\"30s\"`")?;
                wish.idle = Some(IDLE.parse(&text).map_err(refused)?);
            }
            "memory" => {
                let text = entry.quantity("a size such as `\"48MiB\"`")?;
                wish.memory = Some(MEMORY.parse(&text).map_err(refused)?);
            }
            "concurrency" => {
                let number = entry.number("a number such as `8`")?;
                wish.concurrency = Some(CONCURRENCY.parse(number).map_err(refused)?);
            }
            _ => unknown_was_refused(),
        }
        places.push(entry.key);
    }
    if !has_level {
        return Err(entry.missing("level"));
    }
    Isolation::try_from(wish).map_err(|error| {
        let about = wish.not_of_its_level();
        let mut keys = places.into_iter();
        match keys.find(|key| Some(key.get_ref().as_ref()) == about) {
            Some(key) => at(key, Problem::Isolation(error)),
            None => at(entry.value, Problem::Isolation(error)),
        }
    })
}

fn level(entry: Entry<'_, '_>) -> Result<IsolationLevel, Located> {
    let level = entry.text()?.parse();
    level.map_err(|error: IsolationError| at(entry.value, Problem::Isolation(error)))
}
