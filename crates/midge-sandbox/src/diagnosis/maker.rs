//! Which tool made a file, as far as its producers section says.

use super::words::clipped;
use crate::outline::Producer;

/// Tools that any other tool may call, those that say most first. Whoever called them is told
/// instead.
const CALLED_BY_OTHERS: [&str; 8] = [
    "rustc",
    "clang",
    "walrus",
    "LLD",
    "wit-bindgen-rust",
    "wit-bindgen-c",
    "wit-component",
    "wit-parser",
];

/// The tool that its author most likely knows, with its version.
pub(super) fn maker(producers: &[Producer]) -> Option<String> {
    // A language makes nothing.
    let tools = producers.iter().filter(|made| made.field != "language");
    let tool = tools.min_by_key(|made| {
        let calls = CALLED_BY_OTHERS.iter().position(|tool| *tool == made.name);
        calls.map_or(0, |position| position + 1)
    })?;
    // Behind the version some write where it was built from.
    let version = tool.version.split_whitespace().next().unwrap_or_default();
    Some(clipped(format!("{} {version}", tool.name).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tools: &[(&str, &str, &str)]) -> Option<String> {
        let producers: Vec<_> = tools
            .iter()
            .map(|(field, name, version)| Producer {
                field: (*field).to_owned(),
                name: (*name).to_owned(),
                version: (*version).to_owned(),
            })
            .collect();
        maker(&producers)
    }

    #[test]
    fn the_tool_that_was_called_first_is_told() {
        let rust = ("language", "Rust", "");
        let rustc = ("processed-by", "rustc", "1.92.0 (ded5c06cf 2025-12-08)");
        let cargo = ("processed-by", "cargo-component", "0.21.1");
        let encoder = ("processed-by", "wit-component", "0.262.0");
        assert_eq!(check(&[rust]), None);
        assert_eq!(check(&[rust, encoder]).unwrap(), "wit-component 0.262.0");
        assert_eq!(check(&[encoder, rustc]).unwrap(), "rustc 1.92.0");
        assert_eq!(
            check(&[rustc, encoder, cargo]).unwrap(),
            "cargo-component 0.21.1"
        );
    }
}
