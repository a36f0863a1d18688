//! What functions touched when they were last tested: `tests/touched.toml`.
//!
//! Decides how it is written and read: as the `allow` tables of a manifest, so that one reads like
//! the other, and a person may widen a line by hand. Comparing is [`Use::is_allowed_by`]; watching
//! is the sandbox's.
//!
//! **Invariant:** what was written for some uses reads back, and allows each of them.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use crate::document::{
    self, Entry, Keys, Kind, Located, Placed, Problem, at, entries, in_order, unknown_was_refused,
};
use crate::learned::to_toml;
use crate::manifest::read::read_allow;
use crate::{FunctionName, Grants, MANIFEST_BYTES_MAX, Use};

const TOP: &str = "what was touched";
const TOP_KEYS: Keys = Keys {
    known: &["function"],
    planned: &[],
};
const FUNCTION_KEYS: Keys = Keys {
    known: &["allow"],
    planned: &[],
};

/// What stands above the tables.
const HEAD: &str = "\
# What the functions touched in their tests, as the smallest `allow` tables that cover it.
# A test run that sees more than this fails. `midge test --update` writes it anew.
";

/// What each function touched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Touched(pub BTreeMap<FunctionName, Grants>);

/// What is wrong with such a file, and where. The caller adds the file's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct TouchedError(Placed);

impl Touched {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TouchedError> {
        const TOUCHED: Kind = Kind {
            name: "file of what was touched",
            bytes_max: MANIFEST_BYTES_MAX,
        };
        document::read(text, &TOUCHED, read).map_err(TouchedError)
    }

    /// The uses that a function is not known to have had.
    pub fn new_uses<'a>(
        &self,
        function: &FunctionName,
        uses: &'a BTreeSet<Use>,
    ) -> impl Iterator<Item = &'a Use> {
        let known = self.0.get(function).cloned().unwrap_or_default();
        uses.iter().filter(move |used| !used.is_allowed_by(&known))
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let mut text = HEAD.to_owned();
        for (function, grants) in &self.0 {
            text.push('\n');
            text += &to_toml(function, grants);
        }
        text
    }
}

impl TouchedError {
    /// What to write instead, where the message alone does not say it.
    pub fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

fn read(document: &DeTable<'_>) -> Result<Touched, Located> {
    let mut touched = BTreeMap::new();
    for top in entries(document, TOP, &TOP_KEYS)? {
        for (key, value) in in_order(top.table_value("a table such as `[function.hello.allow]`")?) {
            let name: FunctionName = key
                .get_ref()
                .parse()
                .map_err(|error| at(key, Problem::Name(error)))?;
            let table = format!("[function.{name}]");
            let entry = Entry {
                table: &table,
                key,
                value,
            };
            let mut grants = Grants::default();
            let content = entry.table_value("a table such as `[function.hello.allow]`")?;
            for entry in entries(content, &table, &FUNCTION_KEYS)? {
                match entry.key.get_ref().as_ref() {
                    "allow" => read_allow(entry, &mut grants)?,
                    _ => unknown_was_refused(),
                }
            }
            touched.insert(name, grants);
        }
    }
    Ok(Touched(touched))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;
    use crate::learned::smallest;

    fn uses() -> impl Strategy<Value = Use> {
        let host = prop_oneof!["[a-z]{1,8}\\.test", Just("10.0.0.7".to_owned())];
        let host = host.prop_map(|host| host.parse().unwrap());
        prop_oneof![
            (host.clone(), 1_u16.., "/[a-z]{0,4}(/[a-z]{1,4}){0,2}").prop_map(
                |(host, port, path)| Use::Http {
                    method: "GET".to_owned(),
                    https: true,
                    host,
                    port,
                    path,
                }
            ),
            (host.clone(), 1_u16..).prop_map(|(host, port)| Use::Tcp { host, port }),
            (host.clone(), 1_u16..).prop_map(|(host, port)| Use::Udp { host, port }),
            host.prop_map(Use::Name),
            "[a-z]{1,8}".prop_map(|name| Use::Bucket(name.parse().unwrap())),
            Just(Use::Tmp),
            (1_u16..).prop_map(|port| Use::Listen(([127, 0, 0, 1], port).into())),
        ]
    }

    #[test]
    fn it_reads_like_a_manifest() {
        let get = Use::Http {
            method: "GET".to_owned(),
            https: true,
            host: "a.test".parse().unwrap(),
            port: 443,
            path: "/v1".to_owned(),
        };
        let uses = BTreeSet::from([get, Use::Bucket("carts".parse().unwrap())]);
        let shop: FunctionName = "shop".parse().unwrap();
        let grants = smallest(&uses, &Grants::default());
        let touched = Touched(BTreeMap::from([(shop.clone(), grants)]));
        assert_snapshot!(touched.to_toml(), @r#"
        # What the functions touched in their tests, as the smallest `allow` tables that cover it.
        # A test run that sees more than this fails. `midge test --update` writes it anew.

        [function.shop.allow]
        http = ["GET https://a.test/v1"]
        kv = ["carts"]
        "#);
        let more = BTreeSet::from([Use::Tmp, Use::Bucket("users".parse().unwrap())]);
        let new: Vec<_> = touched.new_uses(&shop, &more).map(Use::to_string).collect();
        assert_eq!(new, ["opened bucket users", "wrote temporary files"]);
        let error = Touched::parse("[function.shop.allow]\nhtp = []").unwrap_err();
        assert_snapshot!(error, @"line 2, column 1: unknown key `htp` in [function.shop.allow], did you mean `http`?");
    }

    proptest! {
        #[test]
        fn what_was_written_down_is_not_new(uses in btree_set(uses(), 0..12)) {
            let shop: FunctionName = "shop".parse().unwrap();
            let grants = smallest(&uses, &Grants::default());
            let text = Touched(BTreeMap::from([(shop.clone(), grants)])).to_toml();
            let read = Touched::parse(&text).unwrap();
            prop_assert_eq!(read.new_uses(&shop, &uses).next(), None, "{}", text);
            prop_assert_eq!(read.to_toml(), text);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            drop(Touched::parse(&text));
        }
    }
}
