//! Keys of every kind, and back.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn namespace() -> NamespaceName {
    "shop".parse().expect("it is a name")
}

fn id(text: &str) -> RecordId {
    text.parse().expect("it is an id")
}

#[test]
fn every_kind_has_its_key() {
    let function = "checkout".parse().unwrap();
    let number = RevisionNumber::new(7).unwrap();
    let digest = Digest::of(b"component");
    let keys = [
        namespace_key(&namespace()),
        function_key(&namespace(), &function),
        revision_key(&namespace(), &function, number),
        secret_key(&namespace(), "STRIPE_Key1").unwrap(),
        token_key(&id("4f")),
        claim_key(None, "example.net * /"),
        claim_key(Some(&namespace()), "* /"),
        component_key(&namespace(), &digest),
        audit_key(None, &id("0190a-z")),
        audit_key(Some(&namespace()), &id("0190a-z")),
        idempotency_key(&id("4f"), "Chosen by the client"),
    ];
    let lines: Vec<_> = keys
        .iter()
        .map(|key| format!("{key} = {:?}", RecordKey::parse(key).unwrap()))
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    namespace.shop = Namespace(NamespaceName("shop"))
    function.shop.checkout = Function(NamespaceName("shop"), FunctionName("checkout"))
    revision.shop.checkout.0000000007 = Revision(NamespaceName("shop"), FunctionName("checkout"), RevisionNumber(7))
    secret.shop.stripe_k=e=y1 = Secret(NamespaceName("shop"), "STRIPE_Key1")
    token.4f = Token(RecordId("4f"))
    claim._hosts.c7fe71898ca02bf19569771ccef076c8261b2b5056c141d7bf594afab3459452 = Claim(None)
    claim.shop.e8743c595818e3d4286960e882b54148510b2e8f4aec105110039beb5505540b = Claim(Some(NamespaceName("shop")))
    component.shop.6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa = Component(NamespaceName("shop"), sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa)
    audit._node.fe6f5-z = Audit(None, RecordId("0190a-z"))
    audit.shop.fe6f5-z = Audit(Some(NamespaceName("shop")), RecordId("0190a-z"))
    idempotency.4f.78e0353fe1abf914d03b8eb35ab26baba101c320f25f38f364b762eccac4de80 = Idempotency(RecordId("4f"))
    "#);
}

#[test]
fn a_secret_that_nothing_can_be_called_has_no_key() {
    assert_snapshot!(secret_key(&namespace(), "a.b").unwrap_err(), @"secret name `a.b` is not letters, digits and `_`");
    assert!(secret_key(&namespace(), "").is_err());
}

#[test]
fn later_audit_entries_come_first() {
    let earlier = audit_key(None, &id("0190b1c2-7000"));
    let later = audit_key(None, &id("0190b1c3-7000"));
    assert!(later < earlier);
}

proptest! {
    #[test]
    fn the_key_of_a_secret_says_its_name(name in "[A-Za-z_][A-Za-z0-9_]{0,255}") {
        let key = secret_key(&namespace(), &name).unwrap();
        prop_assert_eq!(RecordKey::parse(&key), Some(RecordKey::Secret(namespace(), name)));
    }

    #[test]
    fn the_key_of_an_audit_entry_says_its_id(text in "[a-z0-9-]{1,64}") {
        let key = audit_key(None, &id(&text));
        prop_assert_eq!(RecordKey::parse(&key), Some(RecordKey::Audit(None, id(&text))));
    }

    #[test]
    fn keys_of_revisions_sort_as_their_numbers(one in 1..u32::MAX, other in 1..u32::MAX) {
        let key = |number| {
            let number = RevisionNumber::new(number).unwrap();
            revision_key(&namespace(), &"f".parse().unwrap(), number)
        };
        prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
    }
}
