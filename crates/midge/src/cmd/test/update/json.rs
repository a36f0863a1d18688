//! Expected JSON rewritten at the places where it differed.
//!
//! **Invariant:** members that did not differ stay as they were written.

use toml_edit::{Array, InlineTable, Item, TableLike, Value};

use crate::cmd::test::compare::{JsonDifference, Step};

/// Writes what was found at one place, or takes away what was not; whether it could: TOML has no
/// `null`.
pub(super) fn put(item: &mut Item, difference: &JsonDifference) -> bool {
    let Some(found) = &difference.found else {
        return remove(item, &difference.path);
    };
    let Some(new) = to_toml(found) else {
        return false;
    };
    let Some((last, way)) = difference.path.split_last() else {
        *item = Item::Value(new);
        return true;
    };
    match lead(item, way) {
        Some(Place::Item(inner)) => put_into_item(inner, last, new),
        Some(Place::Value(inner)) => put_into_value(inner, last, new),
        None => false,
    }
}

/// Takes away a member that did not come.
fn remove(item: &mut Item, path: &[Step]) -> bool {
    let Some((Step::Member(name), way)) = path.split_last() else {
        return false;
    };
    match lead(item, way) {
        Some(Place::Item(Item::Value(value)) | Place::Value(value)) => {
            value.as_inline_table_mut().is_some_and(|table| {
                let gone = table.remove(name);
                // The blank before the closing brace is the last member's.
                let blank = gone
                    .as_ref()
                    .and_then(|gone| gone.decor().suffix().cloned());
                if let (Some(blank), Some((_, last))) = (blank, table.iter_mut().last()) {
                    last.decor_mut().set_suffix(blank);
                }
                gone.is_some()
            })
        }
        Some(Place::Item(item)) => item
            .as_table_like_mut()
            .is_some_and(|table| table.remove(name).is_some()),
        None => false,
    }
}

/// What a step leads from: a table with a header of its own, or a value on a line.
enum Place<'a> {
    Item(&'a mut Item),
    Value(&'a mut Value),
}

fn lead<'a>(item: &'a mut Item, way: &[Step]) -> Option<Place<'a>> {
    let mut place = Place::Item(item);
    for step in way {
        place = match (place, step) {
            (Place::Item(Item::Value(value)), step) => Place::Value(inside(value, step)?),
            (Place::Value(value), step) => Place::Value(inside(value, step)?),
            (Place::Item(item), Step::Member(name)) => Place::Item(item.get_mut(name)?),
            (Place::Item(_), Step::Element(_)) => return None,
        };
    }
    Some(place)
}

fn inside<'a>(value: &'a mut Value, step: &Step) -> Option<&'a mut Value> {
    match step {
        Step::Member(name) => value.as_inline_table_mut()?.get_mut(name),
        Step::Element(index) => value.as_array_mut()?.get_mut(*index),
    }
}

fn put_into_item(item: &mut Item, step: &Step, new: Value) -> bool {
    if let Item::Value(value) = item {
        return put_into_value(value, step, new);
    }
    match (item.as_table_like_mut(), step) {
        (Some(table), Step::Member(name)) => {
            super::put(table, name, new);
            true
        }
        _ => false,
    }
}

fn put_into_value(value: &mut Value, step: &Step, mut new: Value) -> bool {
    match (value, step) {
        (Value::InlineTable(table), Step::Member(name)) => {
            super::put(table as &mut dyn TableLike, name, new);
            true
        }
        (Value::Array(elements), Step::Element(index)) => {
            let Some(old) = elements.get_mut(*index) else {
                return false;
            };
            *new.decor_mut() = old.decor().clone();
            *old = new;
            true
        }
        _ => false,
    }
}

fn to_toml(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(is) => (*is).into(),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        serde_json::Value::String(text) => super::text(text),
        serde_json::Value::Array(values) => {
            let values: Option<Array> = values.iter().map(to_toml).collect();
            values?.into()
        }
        serde_json::Value::Object(members) => {
            let mut table = InlineTable::new();
            for (name, value) in members {
                table.insert(name, to_toml(value)?);
            }
            table.into()
        }
    })
}
