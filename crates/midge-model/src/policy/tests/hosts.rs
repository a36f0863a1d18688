//! Verdicts on host folders and on hosts that are not public.

use insta::assert_snapshot;

use super::{http, policy, verdicts};
use crate::Grants;
use crate::policy::Policy;

#[test]
fn a_folder_is_covered_from_above_and_in_its_mode() {
    let policy = policy(
        r#"
        [namespace."*"]
        dirs = [{ host = "/srv" }, { host = "/var/shop/", mode = "rw", guest = "/data" }]
        "#,
    );
    let dirs = |dirs: &[&str]| Grants {
        dirs: dirs.iter().map(|text| text.parse().unwrap()).collect(),
        ..Grants::default()
    };
    assert_snapshot!(verdicts(&policy, &dirs(&[
        "/srv:/srv:ro", "/srv/a/../b:/b:ro", "/srv/../etc:/etc:ro", "/srvx:/x:ro", "/srv/w:/w:rw",
        "/var/shop/in:/data:rw", "./srv:/r:ro",
    ])), @r#"
    allowed dirs /srv:/srv:ro
        policy.toml line 3: dirs = [{ host = "/srv", mode = "ro" }]
    allowed dirs /srv/a/../b:/b:ro
        policy.toml line 3: dirs = [{ host = "/srv", mode = "ro" }]
    REFUSED dirs /srv/../etc:/etc:ro
        policy.toml line 3: dirs = [{ host = "/srv", mode = "ro" }, { host = "/var/shop/", mode = "rw", guest = "/data" }]
        hint: add { host = "/etc", mode = "ro" } to `dirs` in line 3 of policy.toml
    REFUSED dirs /srvx:/x:ro
        policy.toml line 3: dirs = [{ host = "/srv", mode = "ro" }, { host = "/var/shop/", mode = "rw", guest = "/data" }]
        hint: add { host = "/srvx", mode = "ro" } to `dirs` in line 3 of policy.toml
    REFUSED dirs /srv/w:/w:rw
        policy.toml line 3: dirs = [{ host = "/srv", mode = "ro" }, { host = "/var/shop/", mode = "rw", guest = "/data" }]
        hint: write `mode = "ro"` in the manifest, or add { host = "/srv/w", mode = "rw" } to `dirs` in line 3 of policy.toml
    allowed dirs /var/shop/in:/data:rw
        policy.toml line 3: dirs = [{ host = "/var/shop/", mode = "rw", guest = "/data" }]
    REFUSED dirs ./srv:/r:ro
        policy.toml line 3: dirs = [{ host = "/srv", mode = "ro" }, { host = "/var/shop/", mode = "rw", guest = "/data" }]
        hint: write where the host folder is from `/` on: a policy holds wherever it is read
    "#);
    assert_snapshot!(verdicts(&policy, &dirs(&["/var/shop:/other:rw"])), @r#"
    REFUSED dirs /var/shop:/other:rw
        policy.toml line 3: dirs = [{ host = "/srv", mode = "ro" }, { host = "/var/shop/", mode = "rw", guest = "/data" }]
        hint: add { host = "/var/shop", mode = "rw" } to `dirs` in line 3 of policy.toml
    "#);
}

/// Grants that name addresses of every kind, and some that name none.
fn hosts() -> Grants {
    let tcp = [
        "10.0.0.0/8:5432",
        "10.1.0.0/16:1",
        "0.0.0.0/0:443",
        "169.254.169.254:80",
        "0.0.0.0:1",
    ];
    Grants {
        tcp: tcp.map(|text| text.parse().unwrap()).to_vec(),
        ..http(&[
            "http://10.0.0.5",
            "http://localhost:3000/",
            "http://db.internal",
            "http://*.internal",
        ])
    }
}

#[test]
fn a_grant_that_names_a_private_address_needs_a_rule_for_it() {
    let text = "[namespace.\"*\"]\nprivate = [\"10.1.0.0/16\", \"localhost\"]";
    assert_snapshot!(verdicts(&policy(text), &hosts()), @r#"
    REFUSED http http://10.0.0.5
        policy.toml line 2: private = ["10.1.0.0/16", "localhost"]
        hint: add "10.0.0.5" to `private` in line 2 of policy.toml
    allowed http http://localhost:3000/
        policy.toml line 2: private = ["localhost"]
    allowed http http://db.internal
        no `http` in policy.toml: any public host
    allowed http http://*.internal
        no `http` in policy.toml: any public host
    REFUSED tcp 10.0.0.0/8:5432
        policy.toml line 2: private = ["10.1.0.0/16", "localhost"]
        hint: add "10.0.0.0/8" to `private` in line 2 of policy.toml
    allowed tcp 10.1.0.0/16:1
        policy.toml line 2: private = ["10.1.0.0/16"]
    allowed tcp 0.0.0.0/0:443
        no `tcp` in policy.toml: any public host
    REFUSED tcp 169.254.169.254:80
        policy.toml line 2: private = ["10.1.0.0/16", "localhost"]
        hint: add "169.254.169.254" to `private` in line 2 of policy.toml
    REFUSED tcp 0.0.0.0:1
        `0.0.0.0` is not an address to connect to
    "#);
}

#[test]
fn who_types_may_name_private_addresses_and_has_a_flag_for_the_others() {
    assert_snapshot!(verdicts(&Policy::operator(), &hosts()), @r"
    allowed http http://10.0.0.5
        the policy of `midge run`: private addresses where a grant says them
    allowed http http://localhost:3000/
        the policy of `midge run`: private addresses where a grant says them
    allowed http http://db.internal
        no `http` in the policy of `midge run`: any public host
    allowed http http://*.internal
        no `http` in the policy of `midge run`: any public host
    allowed tcp 10.0.0.0/8:5432
        the policy of `midge run`: private addresses where a grant says them
    allowed tcp 10.1.0.0/16:1
        the policy of `midge run`: private addresses where a grant says them
    allowed tcp 0.0.0.0/0:443
        no `tcp` in the policy of `midge run`: any public host
    REFUSED tcp 169.254.169.254:80
        no `private` in the policy of `midge run`: what is not public stays out of reach
        hint: run with `--allow-private 169.254.169.254`
    REFUSED tcp 0.0.0.0:1
        `0.0.0.0` is not an address to connect to
    ");
    let typed = ["169.254.169.254".parse().unwrap()];
    let policy = Policy::operator().with_private(&typed);
    let link_local = Grants {
        tcp: vec!["169.254.169.254:80".parse().unwrap()],
        ..Grants::default()
    };
    assert_snapshot!(verdicts(&policy, &link_local), @r#"
    allowed tcp 169.254.169.254:80
        `--allow-private`: private = ["169.254.169.254"]
    "#);
}
