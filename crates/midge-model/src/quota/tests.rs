//! Quotas: the defaults, the bounds, and how they are written.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn check(text: &str) -> String {
    match text.parse::<QuotaPatch>() {
        Ok(patch) => serde_json::to_string(&patch).unwrap(),
        Err(error) => format!("error: {error}"),
    }
}

fn json(text: &str) -> String {
    match serde_json::from_str::<QuotaPatch>(text) {
        Ok(patch) => serde_json::to_string(&patch).unwrap(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_wish_is_a_name_and_a_value() {
    assert_snapshot!(check("functions=100"), @r#"{"functions":100}"#);
    assert_snapshot!(check("component-bytes=10GiB"), @r#"{"component_bytes":"10GiB"}"#);
    assert_snapshot!(check("secrets=0"), @r#"{"secrets":0}"#);
    assert_snapshot!(check("tokens=100000"), @r#"{"tokens":100000}"#);
}

#[test]
fn a_wish_that_is_none_is_told_what_one_looks_like() {
    assert_snapshot!(check(""), @"error: quota `` is not a name and a value, write for example `functions=100`");
    assert_snapshot!(check("functions"), @"error: quota `functions` is not a name and a value, write for example `functions=100`");
    assert_snapshot!(check("function=100"), @"error: quota `function` is unknown, did you mean `functions`?");
    assert_snapshot!(check("disk=1"), @"error: quota `disk` is unknown, write one of `functions`, `component-bytes`, `secrets`, `tokens`");
    assert_snapshot!(check("functions=many"), @"error: quota `functions` is `many`, write a whole number such as `100`");
    assert_snapshot!(check("functions=-1"), @"error: functions of `-1` is out of range, write `0` to `65536`");
    assert_snapshot!(check("functions=65537"), @"error: functions of `65537` is out of range, write `0` to `65536`");
    assert_snapshot!(check("component-bytes=10"), @"error: size `10` has no unit, write for example `10MiB`");
    assert_snapshot!(check("component-bytes=2PiB"), @"error: component-bytes of `2.0PiB` is out of range, write `0B` to `1.0PiB`");
}

#[test]
fn json_is_checked_where_it_is_read() {
    assert_snapshot!(json(r#"{"functions":5,"component_bytes":"1GiB"}"#), @r#"{"functions":5,"component_bytes":"1GiB"}"#);
    assert_snapshot!(json("{}"), @"{}");
    assert_snapshot!(json(r#"{"disk":5}"#), @"error: unknown field `disk`, expected one of `functions`, `component_bytes`, `secrets`, `tokens` at line 1 column 7");
    assert_snapshot!(json(r#"{"functions":65537}"#), @"error: functions of `65537` is out of range, write `0` to `65536`");
    assert_snapshot!(json(r#"{"component_bytes":5}"#), @"error: invalid type: integer `5`, expected a string at line 1 column 20");
}

#[test]
fn nobody_who_asks_for_nothing_gets_less_than_the_default() {
    let quota = serde_json::to_string(&Quota::default()).unwrap();
    assert_snapshot!(quota, @r#"{"functions":20000,"component_bytes":"64GiB","secrets":1000,"tokens":1000}"#);
    // A record of a node that knew fewer quotas.
    assert_eq!(serde_json::from_str::<Quota>("{}").unwrap(), Quota::DEFAULT);
    assert_eq!(
        QuotaPatch::default().apply(&Quota::DEFAULT),
        Ok(Quota::DEFAULT)
    );
}

#[test]
fn a_wish_changes_only_what_it_names() {
    let wishes = ["functions=5", "tokens=6", "functions=7"].map(|text| text.parse().unwrap());
    let wishes = wishes.into_iter().reduce(QuotaPatch::or).unwrap();
    let quota = wishes.apply(&Quota::DEFAULT).unwrap();
    let row = |(name, value): (_, String)| format!("{name} {value}\n");
    assert_snapshot!(quota.rows().into_iter().map(row).collect::<String>(), @r"
    functions 5
    component-bytes 64GiB
    secrets 1000
    tokens 6
    ");
    let too_many = QuotaPatch {
        tokens: Some(u32::MAX),
        ..wishes
    };
    assert_snapshot!(too_many.apply(&Quota::DEFAULT).unwrap_err(), @"tokens of `4294967295` is out of range, write `0` to `100000`");
}

proptest! {
    #[test]
    fn every_quota_survives_json(
        functions in 0..=QUOTA_FUNCTIONS_MAX,
        component_bytes in 0..=QUOTA_COMPONENT_BYTES_MAX,
        secrets in 0..=QUOTA_SECRETS_MAX,
        tokens in 0..=QUOTA_TOKENS_MAX,
    ) {
        let quota = Quota { functions, component_bytes, secrets, tokens };
        let json = serde_json::to_string(&quota).unwrap();
        prop_assert_eq!(serde_json::from_str::<Quota>(&json).unwrap(), quota);
        // The same JSON is a wish for all of it.
        let patch: QuotaPatch = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(patch.apply(&Quota::DEFAULT), Ok(quota));
    }

    #[test]
    fn no_text_panics(text in any::<String>(), near in "(functions|tokens|component-bytes)=.{0,8}") {
        for text in [text, near] {
            if let Ok(patch) = text.parse::<QuotaPatch>() {
                prop_assert!(patch.apply(&Quota::DEFAULT).is_ok());
            }
        }
    }
}
