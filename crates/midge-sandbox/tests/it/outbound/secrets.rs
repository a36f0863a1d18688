//! Secrets that the host puts into requests.

use midge_model::{SecretExposure, SecretGrant};
use midge_testkit::Upstream;

use super::{PROBES, ask, granted, here};
use crate::kit::Guest;

const SECRET: &str = "s3cret-of-the-house";

/// A guest that may call both, with a secret for the first one's `/in/*`.
fn guest(probe: &str, inside: &str, outside: &str, format: &str) -> Guest {
    let exposure = SecretExposure::Inject {
        header: "authorization".to_owned(),
        format: format.to_owned(),
        to: vec![format!("{inside}/in/*").parse().unwrap()],
    };
    granted(probe, &[inside, outside])
        .grants(|grants| {
            grants
                .secrets
                .push(SecretGrant::new("KEY", exposure).unwrap())
        })
        .secret("KEY", SECRET)
}

#[test]
fn a_secret_arrives_where_it_is_granted_to_and_nowhere_else() {
    for probe in PROBES {
        let (inside, outside) = (Upstream::start(), Upstream::start());
        let (here, there) = (here(&inside), here(&outside));
        let field = "header=authorization:Token midge-secret:KEY";
        let steps = format!(
            "fetch={here}/in/absent&fetch={here}/in/filled&{field}\
             &fetch={here}/in/own&header=authorization:mine\
             &fetch={here}/beside&{field}&fetch={here}/beside\
             &fetch={there}/in/x&{field}&fetch={there}/in/x\
             &fetch=TRACE+{here}/in/x&{field}&fetch=trace+{here}/in/x&{field}"
        );
        let said = ask(guest(probe, &here, &there, "Bearer {}"), &steps);
        assert!(!said.contains(SECRET), "{said}");
        let fields = |upstream: &Upstream| -> Vec<String> {
            let requests = upstream.requests().into_iter();
            requests
                .map(|request| {
                    let value = request.headers.get("authorization");
                    let value = value.map_or("none", |value| value.to_str().unwrap());
                    value.replace(SECRET, "SECRET")
                })
                .collect()
        };
        let placeholder = "Token midge-secret:KEY";
        assert_eq!(
            fields(&inside),
            [
                "Bearer SECRET",
                "Token SECRET",
                "mine",
                placeholder,
                "none",
                placeholder,
                placeholder
            ],
            "{probe}"
        );
        assert_eq!(fields(&outside), [placeholder, "none"], "{probe}");
    }
}

#[test]
fn a_secret_that_no_field_can_hold_is_told_when_the_function_is_loaded() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let loaded = guest("http02-probe.wasm", &here, &here, "{}")
        .secret("KEY", "two\nlines")
        .try_load();
    let error = loaded.err().unwrap();
    let text = format!("{error} {:?}", std::error::Error::source(&error));
    assert!(text.contains("KEY") && !text.contains("two"), "{text}");
}
