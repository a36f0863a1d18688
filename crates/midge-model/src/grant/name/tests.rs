//! Grants of names: how they are read, and what they match.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::grant::arbitrary;

fn check(text: &str) -> String {
    match text.parse::<NameGrant>() {
        Ok(grant) => format!("ok: {grant}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_name_is_one_or_all_below_or_any() {
    assert_snapshot!(check("DB.internal."), @"ok: db.internal");
    assert_snapshot!(check("*.example.com"), @"ok: *.example.com");
    assert_snapshot!(check("*"), @"ok: *");
}

#[test]
fn what_needs_no_look_up_is_no_name() {
    assert_snapshot!(check("10.0.0.1"), @"error: dns grant `10.0.0.1` is an address, which needs no looking up; write it into `tcp` or `udp` with its port");
    assert_snapshot!(check("[::1]"), @"error: dns grant `[::1]` is an address, which needs no looking up; write it into `tcp` or `udp` with its port");
    assert_snapshot!(check("db.internal:5432"), @"error: dns grant `db.internal:5432` has the port `:5432`, leave it out: looking up a name takes none");
    assert_snapshot!(check("*.db.*"), @"error: dns grant `*.db.*` has a wildcard that is not the whole first part of the host, write for example `*.example.com`");
    assert_snapshot!(check(""), @"error: dns grant `` has a host that is empty, write for example `api.example.com`");
}

proptest! {
    #[test]
    fn a_grant_survives_its_own_text(grant in arbitrary::name_grant()) {
        prop_assert_eq!(grant.to_string().parse(), Ok(grant.clone()));
        let json = serde_json::to_string(&grant).unwrap();
        prop_assert_eq!(serde_json::from_str::<NameGrant>(&json).unwrap(), grant);
    }

    /// What a grant covers allows nothing that it does not allow itself.
    #[test]
    fn covering_is_sound(wide in arbitrary::name_grant(), narrow in arbitrary::name_grant(), host in arbitrary::host()) {
        if wide.covers(&narrow) && narrow.matches(&host) {
            prop_assert!(wide.matches(&host), "{} covers {} and not {}", wide, narrow, host);
        }
        prop_assert!(wide.covers(&wide) && NameGrant::ANY.covers(&wide));
    }

    #[test]
    fn never_panics(text in any::<String>(), near in "[a-z*.:0-9\\[\\]]{0,12}") {
        for text in [text, near] {
            let _grant = text.parse::<NameGrant>();
        }
    }
}
