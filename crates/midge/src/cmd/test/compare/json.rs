//! JSON with at least this in it.
//!
//! Objects may have more members than expected; lists have as many elements. Numbers are compared as
//! numbers.
//!
//! **Invariant:** every difference names the place in the found value that it is at.

use std::fmt;

use serde_json::Value;

/// What is shown of a value.
const SHOWN_CHARACTERS_MAX: usize = 120;

/// Differences that are told; whoever has more looks at the first.
const DIFFERENCES_MAX: usize = 20;

/// One place where they differ.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cmd::test) struct JsonDifference {
    /// Names and indices on the way to it.
    pub(in crate::cmd::test) path: Vec<Step>,
    expected: Value,
    /// `None`: it is not there.
    pub(in crate::cmd::test) found: Option<Value>,
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cmd::test) enum Step {
    Member(String),
    Element(usize),
}

/// Where `found` lacks something that is expected.
pub(in crate::cmd::test) fn subset(expected: &Value, found: &Value) -> Vec<JsonDifference> {
    let mut differences = Vec::new();
    compare(expected, Some(found), &mut Vec::new(), &mut differences);
    differences
}

fn compare(
    expected: &Value,
    found: Option<&Value>,
    path: &mut Vec<Step>,
    differences: &mut Vec<JsonDifference>,
) {
    if differences.len() >= DIFFERENCES_MAX {
        return;
    }
    let mut inside = |step, expected: &Value, found: Option<&Value>| {
        path.push(step);
        compare(expected, found, path, differences);
        path.pop();
    };
    match (expected, found) {
        (Value::Object(expected), Some(Value::Object(found))) => {
            for (name, expected) in expected {
                inside(Step::Member(name.clone()), expected, found.get(name));
            }
        }
        (Value::Array(expected), Some(Value::Array(found))) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                inside(Step::Element(index), expected, Some(found));
            }
        }
        (expected, Some(found)) if is_same(expected, found) => {}
        (expected, found) => differences.push(JsonDifference {
            path: path.clone(),
            expected: expected.clone(),
            found: found.cloned(),
        }),
    }
}

fn is_same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        // `1` and `1.0` are one number in JSON, and two in a file.
        (Value::Number(expected), Value::Number(found)) => {
            expected == found
                || (expected.is_f64() != found.is_f64() && expected.as_f64() == found.as_f64())
        }
        _ => expected == found,
    }
}

impl fmt::Display for JsonDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in &self.path {
            match step {
                Step::Member(name)
                    if name
                        .bytes()
                        .all(|it| it.is_ascii_alphanumeric() || it == b'_') =>
                {
                    write!(f, ".{name}")?;
                }
                Step::Member(name) => write!(f, "[{name:?}]")?,
                Step::Element(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, ": expected {}", shown(&self.expected))?;
        match &self.found {
            Some(found) => write!(f, ", got {}", shown(found)),
            None => f.write_str(", got nothing"),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(expected: &Value, found: &Value) -> String {
        let lines = subset(expected, found).into_iter();
        lines.map(|it| format!("{it}\n")).collect()
    }

    #[test]
    fn more_members_are_no_difference_and_fewer_are() {
        let found = json!({ "a": { "b": 1, "c": [1, { "d": 2 }] }, "x y": null });
        assert_eq!(check(&json!({ "a": { "b": 1.0 } }), &found), "");
        assert_eq!(check(&json!({ "a": { "c": [1, {}] } }), &found), "");
        assert_snapshot!(
            check(&json!({ "a": { "b": 2, "c": [1, { "d": 3 }], "e": {} }, "x y": 1 }), &found),
            @r#"
            $.a.b: expected 2, got 1
            $.a.c[1].d: expected 3, got 2
            $.a.e: expected {}, got nothing
            $["x y"]: expected 1, got null
            "#
        );
        assert_snapshot!(check(&json!({ "a": { "c": [1] } }), &found), @r#"$.a.c: expected [1], got [1,{"d":2}]"#);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_has_itself_in_it(value in value()) {
            prop_assert_eq!(subset(&value, &value), []);
        }

        #[test]
        fn both_ways_means_equal(a in value(), b in value()) {
            let is_in = subset(&a, &b).is_empty() && subset(&b, &a).is_empty();
            prop_assert_eq!(is_in, a == b);
        }
    }
}
