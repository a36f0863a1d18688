//! How names out of a file are put into a sentence.
//!
//! **Invariant:** whatever a file declares, a sentence shows a few names and the beginning of each.

use std::fmt::Display;

/// Of a name, so much is shown: some tools put whole signatures into one.
const NAME_CHARS_MAX: usize = 48;

/// Of what the engine says, so much is shown.
const REASON_CHARS_MAX: usize = 512;

/// Of functions that belong to one name, so many are shown.
pub(super) const FUNCTIONS_MAX: usize = 3;

/// Of names that stand beside each other, so many are shown.
pub(super) const NAMES_MAX: usize = 3;

/// A name in backticks, or its beginning.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", clipped(name))
}

/// A name, or its beginning.
pub(super) fn clipped(name: &str) -> String {
    beginning(name, NAME_CHARS_MAX)
}

/// What the engine says, or its beginning: there are names of the file in it.
pub(super) fn reason(causes: &[&str]) -> String {
    beginning(&causes.join(": "), REASON_CHARS_MAX)
}

fn beginning(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`.
pub(super) fn some_of<T: Display>(items: impl IntoIterator<Item = T>, shown_max: usize) -> String {
    let mut shown = Vec::new();
    let mut left: usize = 0;
    for item in items {
        if shown.len() < shown_max {
            shown.push(item.to_string());
        } else {
            left += 1;
        }
    }
    let last = match left {
        0 => shown.pop(),
        _ => Some(format!("{left} more")),
    };
    match last {
        None => String::new(),
        Some(last) if shown.is_empty() => last,
        Some(last) => format!("{} and {last}", shown.join(", ")),
    }
}

/// What an item of an interface is called by people: of a resource, its name and its method's.
pub(super) fn item(name: &str) -> &str {
    // `[method]connection.query`, `[constructor]connection`; before components were standardised,
    // `eval: func(code: string)`.
    let name = name.rsplit(']').next().unwrap_or(name);
    name.split(": ").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_shown_and_the_others_counted() {
        let check = |count: usize| some_of(["a", "b", "c", "d", "e"].iter().take(count), 3);
        assert_eq!(check(0), "");
        assert_eq!(check(1), "a");
        assert_eq!(check(2), "a and b");
        assert_eq!(check(3), "a, b and c");
        assert_eq!(check(5), "a, b, c and 2 more");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let cut = clipped(&"é".repeat(NAME_CHARS_MAX + 1));
        assert_eq!(cut, format!("{}…", "é".repeat(NAME_CHARS_MAX)));
        assert_eq!(quoted("short"), "`short`");
    }

    #[test]
    fn methods_go_by_their_resource() {
        assert_eq!(item("[method]connection.query"), "connection.query");
        assert_eq!(item("[constructor]connection"), "connection");
        assert_eq!(item("open"), "open");
        assert_eq!(item("eval: func(code: string)"), "eval");
    }
}
