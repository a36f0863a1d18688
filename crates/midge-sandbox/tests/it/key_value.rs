//! Values that guests keep, through every interface that there is for it.

pub(crate) mod kept;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use insta::assert_snapshot;
use midge_model::{Grants, Outcome, Policy, SecretExposure, SecretGrant, Use};

use self::kept::Kept;
use crate::denied::told_during;
use crate::kit::{Guest, Shelf, ask_again, invoke, reply};

/// Guests that import `wasi:keyvalue`, and Spin's: what both can be asked is told by both alike.
const WASI: [&str; 3] = ["http02-kv.wasm", "http03-kv.wasm", "http02-kv-draft.wasm"];
const SPIN: [&str; 2] = ["http02-kv-spin.wasm", "http02-kv-spin-first.wasm"];

fn granted(fixture: &str, kept: &Arc<Kept>) -> Guest {
    let buckets = ["carts", "default"].map(|name| name.parse().unwrap());
    Guest::of(fixture)
        .grants(|grants| grants.kv = buckets.into())
        .values(Arc::clone(kept) as _)
}

fn ask(guest: Guest, steps: &str) -> String {
    guest.get(&format!("/?{steps}")).unwrap().text()
}

/// What a guest that is granted `carts` and `default` says to these steps, over nothing kept yet.
fn check(fixture: &str, steps: &str) -> String {
    ask(granted(fixture, &Arc::default()), steps)
}

#[test]
fn a_value_is_kept_and_found_through_every_interface() {
    for fixture in WASI.into_iter().chain(["http02-kv-spin.wasm"]) {
        let steps = "open=carts&get=a&exists=a&set=a:one&get=a&exists=a&delete=a&delete=a&get=a";
        assert_eq!(
            check(fixture, steps),
            "ok\nok none\nok false\nok\nok one\nok true\nok\nok\nok none\n",
            "{fixture}"
        );
    }
    let steps = "open=carts&get=a&exists=a&set=a:one&get=a&exists=a&delete=a&delete=a";
    assert_snapshot!(check("http02-kv-spin-first.wasm", steps), @r"
    ok 0
    error Error::NoSuchKey
    ok false
    ok
    ok one
    ok true
    ok
    ok
    ");
}

#[test]
fn interfaces_share_what_is_kept_and_buckets_do_not() {
    let kept = Arc::default();
    ask(granted(WASI[0], &kept), "open=carts&set=a:one");
    for fixture in WASI.into_iter().chain(SPIN) {
        let steps = "open=carts&get=a&open=default&exists=a";
        let said = ask(granted(fixture, &kept), steps);
        let said: Vec<_> = said.lines().collect();
        assert_eq!((said[1], said[3]), ("ok one", "ok false"), "{fixture}");
    }
}

#[test]
fn a_bucket_without_a_name_is_the_default_one() {
    assert_eq!(
        check(WASI[0], "open=&set=a:one&open=default&get=a"),
        "ok\nok\nok\nok one\n"
    );
}

#[test]
fn a_bucket_that_is_not_granted_is_denied_and_told_with_the_line_to_add() {
    for fixture in WASI {
        assert_eq!(
            check(fixture, "open=orders"),
            "error access-denied\n",
            "{fixture}"
        );
        assert_eq!(
            check(fixture, "open=No+name"),
            "error no-such-store\n",
            "{fixture}"
        );
    }
    for fixture in SPIN {
        assert_eq!(
            check(fixture, "open=orders"),
            "error Error::AccessDenied\n",
            "{fixture}"
        );
        assert_eq!(
            check(fixture, "open=No+name"),
            "error Error::NoSuchStore\n",
            "{fixture}"
        );
    }
    let none = Guest::of(WASI[0]).values(Arc::new(Kept::default()));
    let (said, told) = told_during(|| ask(none, "open=carts&times=20&open=carts"));
    assert_eq!(said, "error access-denied\n".repeat(21));
    assert_eq!(told.len(), 8);
    assert_snapshot!(told[0], @r#"denied: open bucket carts: no kv grant names it; to allow it add to [function.guest.allow]: kv = ["carts"]"#);
}

#[test]
fn a_number_grows() {
    for fixture in WASI {
        let steps = "open=carts&increment=n:5&times=3&increment=n&get=n&set=n:one&increment=n";
        let said = check(fixture, steps);
        assert!(
            said.starts_with("ok\nok 5\nok 6\nok 7\nok 8\nok 8\nok\nerror other: "),
            "{said}"
        );
    }
    assert_eq!(check(WASI[0], "open=carts&increment=n:-3"), "ok\nok -3\n");
    let kept = Arc::default();
    ask(granted(WASI[0], &kept), "open=carts&increment=n:-3");
    let steps = format!("open=carts&increment=n:1&increment=n:{}", u64::MAX);
    assert_snapshot!(ask(granted("http02-kv-draft.wasm", &kept), &steps), @r"
    ok
    error other: the number is below zero, which draft 1 cannot say
    error other: the number would not fit into 63 bits
    ");
}

#[test]
fn a_swap_wants_what_was_seen() {
    for fixture in ["http02-kv.wasm", "http03-kv.wasm"] {
        let steps = "open=carts&cas=a&current&swap=one&get=a&cas=a&set=a:two&swap=three&swap=three\
                     &get=a&cas=a&set=a:four&current&swap=five&get=a";
        assert_eq!(
            check(fixture, steps),
            "ok\nok\nok none\nok swapped\nok one\nok\nok\nerror cas-failed\nok swapped\n\
             ok three\nok\nok\nok four\nok swapped\nok five\n",
            "{fixture}"
        );
    }
}

#[test]
fn batches_are_about_many_keys() {
    let steps = "open=carts&set-many=a,b:x&get-many=a,c,b&delete-many=a,c&get-many=a,b";
    for fixture in ["http02-kv.wasm", "http03-kv.wasm"] {
        assert_eq!(
            check(fixture, steps),
            "ok\nok\nok a=x,c=none,b=x\nok\nok a=none,b=x\n"
        );
    }
    let draft = check("http02-kv-draft.wasm", steps);
    assert_eq!(draft, "ok\nok\nok a=x,none,b=x\nok\nok none,b=x\n");
    let older = check("http02-kv-pairs.wasm", "open=carts&set=a:x&get-many=a,c");
    assert_eq!(older, "ok\nok\nok a=x,none\n");
}

#[test]
fn lists_come_in_pages() {
    let kept: Arc<Kept> = Arc::default();
    let fill = "open=carts&set-many=1000*:x&set=z:x&set=zz:x";
    assert_eq!(ask(granted(WASI[0], &kept), fill), "ok\nok\nok\nok\n");
    for fixture in WASI {
        let said = ask(granted(fixture, &kept), "open=carts&list&next&list");
        let page = "ok 1000 keys from 00000 to 00999, and more\n";
        assert_eq!(said, format!("ok\n{page}ok z,zz\n{page}"), "{fixture}");
    }
    // Cursors that are numbers lead to a place, whoever made them up.
    let steps = "open=carts&next=1001&next=999&next=1000000&next=3";
    assert_snapshot!(ask(granted("http02-kv-draft.wasm", &kept), steps), @r"
    ok
    ok zz
    ok 00999,z,zz
    ok
    ok 999 keys from 00003 to zz
    ");
    for fixture in SPIN {
        let said = ask(granted(fixture, &kept), "open=carts&list");
        assert!(
            said.ends_with("ok 1002 keys from 00000 to zz\n"),
            "{fixture}: {said}"
        );
    }
}

#[test]
fn all_keys_in_one_answer_are_not_too_many() {
    let kept: Arc<Kept> = Arc::default();
    // No batch may be as long.
    let fill = |first: usize| {
        let sets: String = (0..1_000)
            .map(|key| format!("&set={}:x", first + key))
            .collect();
        ask(granted(WASI[0], &kept), &format!("open=carts{sets}"));
    };
    (0..11).for_each(|round| fill(round * 1_000));
    assert_snapshot!(ask(granted("http02-kv-spin.wasm", &kept), "open=carts&list"), @r#"
    ok
    error Error::Other("the bucket has more than 10000 keys, list them in pages with `wasi:keyvalue`")
    "#);
}

#[test]
fn keys_values_and_batches_have_bounds() {
    let long = "k".repeat(513);
    let steps = format!(
        "open=carts&set=a:bytes-1048576&get=a&set=a:bytes-1048577&get={long}&set={long}:x&exists=&\
         delete={long}&increment={long}&next={long}&get-many=1001*&set-many=1001*:x&delete-many=1001*"
    );
    assert_snapshot!(check(WASI[0], &steps), @r"
    ok
    ok
    ok 1048576 bytes
    error other: the value has 1048577 bytes, the longest has 1048576
    error other: the key has 513 bytes, write 1 to 512
    error other: the key has 513 bytes, write 1 to 512
    error other: the key has 0 bytes, write 1 to 512
    error other: the key has 513 bytes, write 1 to 512
    error other: the key has 513 bytes, write 1 to 512
    error other: the key has 513 bytes, write 1 to 512
    error other: the batch has 1001 keys, the most are 1000
    error other: the batch has 1001 keys, the most are 1000
    error other: the batch has 1001 keys, the most are 1000
    ");
}

#[test]
fn a_batch_that_would_fill_the_host_is_refused() {
    let steps =
        "open=carts&set-many=17*:bytes-900000&set-many=00017,00018:bytes-900000&get-many=19*";
    let said = check(WASI[0], steps);
    assert!(
        said.ends_with(
            "error other: the values have more than 16777216 bytes together, ask for fewer\n"
        ),
        "{said}"
    );
}

#[test]
fn so_many_buckets_are_open_at_a_time() {
    for fixture in WASI.into_iter().chain(SPIN) {
        let steps = "times=33&open=carts&times=2&close=&open=carts&get=a";
        let said = check(fixture, steps);
        let said: Vec<_> = said.lines().collect();
        assert!(said[31].starts_with("ok"), "{fixture}: {said:?}");
        assert!(said[32].starts_with("error"), "{fixture}: {said:?}");
        assert!(said[35].starts_with("ok"), "{fixture}: {said:?}");
    }
    assert_snapshot!(check(WASI[0], "times=33&open=carts").lines().last().unwrap(), @"error other: 32 buckets are open, close one of them first");
    assert_snapshot!(check(SPIN[0], "times=33&open=carts").lines().last().unwrap(), @"error Error::StoreTableFull");
    // What compares holds as much.
    let said = check(WASI[0], "open=carts&times=32&cas=a");
    assert!(said.ends_with("close one of them first\n"), "{said}");
}

#[test]
fn a_number_of_no_open_store_leads_nowhere() {
    let steps = "open=carts&store=7&get=a&store=4294967295&set=a:x&close=&store=0&close=&get=a&open=carts&get=a";
    assert_snapshot!(check("http02-kv-spin-first.wasm", steps), @r"
    ok 0
    ok
    error Error::InvalidStore
    ok
    error Error::InvalidStore
    ok
    ok
    ok
    error Error::InvalidStore
    ok 0
    error Error::NoSuchKey
    ");
}

#[test]
fn a_store_that_fails_is_an_answer() {
    let steps = "open=carts&get=a&set=a:x&delete=a&exists=a&list";
    for fixture in WASI.into_iter().chain(SPIN) {
        let kept = Arc::new(Kept::failing());
        let said = ask(granted(fixture, &kept), steps);
        let failed = said
            .lines()
            .filter(|line| line.contains("the store is on fire"));
        assert_eq!(failed.count(), 5, "{fixture}: {said}");
    }
    let without = Guest::of(WASI[0]).grants(|grants| grants.kv = vec!["carts".parse().unwrap()]);
    assert_eq!(
        ask(without, "open=carts&get=a"),
        "ok\nerror other: this process keeps no values\n"
    );
}

#[test]
fn a_store_that_never_answers_is_bounded_by_the_invocation() {
    for fixture in WASI.into_iter().chain(SPIN) {
        let kept = Arc::new(Kept::hanging());
        let guest = granted(fixture, &kept).time(Duration::from_millis(200));
        let ended = guest.get("/?open=carts&get=a").unwrap_err();
        assert!(
            matches!(ended, Outcome::OutOfTime { .. }),
            "{fixture}: {ended:?}"
        );
    }
}

#[test]
fn an_instance_that_is_asked_again_goes_on_with_what_it_may_hold() {
    let kept = Arc::default();
    granted(WASI[0], &kept).serial().run(async |function| {
        let shelf = Shelf::default();
        for nth in 1..=3 {
            let path = "/?times=30&open=carts&increment=n";
            let (said, _) = ask_again(&function, &shelf, path).await;
            assert!(said.unwrap().ends_with(&format!("ok {nth}\n")));
        }
    });
}

#[test]
fn many_at_once_each_get_their_turn() {
    let kept: Arc<Kept> = Arc::default();
    granted(WASI[1], &kept).run(async |function| {
        let asked = (0..6).map(|_| async {
            let path = "/?open=carts&times=20&increment=n";
            let request = http::Request::get(path);
            let request = request.body(midge_sandbox::RequestBody::empty()).unwrap();
            reply(invoke(&function, request).await.unwrap())
                .await
                .unwrap();
        });
        futures::future::join_all(asked).await;
    });
    assert_eq!(
        ask(granted(WASI[0], &kept), "open=carts&increment=n:0"),
        "ok\nok 120\n"
    );
    assert_eq!(kept.calls.load(Ordering::Relaxed), 121);
}

#[test]
fn a_watched_function_gets_the_buckets_that_the_policy_allows() {
    let policy = Policy::parse("[namespace.\"*\"]\nkv = [\"carts\", \"shop-*\"]").unwrap();
    let watched = Guest::of(WASI[0])
        .values(Arc::new(Kept::default()))
        .powers(|powers| {
            powers.learn = true;
            powers.policy = policy;
        });
    watched.run(async |function| {
        let path = "/?open=carts&open=shop-1&open=orders";
        let request = http::Request::get(path);
        let request = request.body(midge_sandbox::RequestBody::empty()).unwrap();
        let said = reply(invoke(&function, request).await.unwrap())
            .await
            .unwrap();
        assert_eq!(said.text(), "ok\nok\nerror access-denied\n");
        let uses = function.take_uses();
        let buckets = ["carts", "shop-1"].map(|name| Use::Bucket(name.parse().unwrap()));
        assert_eq!(uses, buckets);
    });
}

#[test]
fn variables_are_the_environment_and_the_secrets_that_may_be_read() {
    let to = vec!["https://a.test/*".parse().unwrap()];
    let injected = SecretExposure::Inject {
        header: "authorization".to_owned(),
        format: "Bearer {}".to_owned(),
        to,
    };
    let secret = |name: &str, exposure| SecretGrant::new(name, exposure).unwrap();
    let set = |grants: &mut Grants| {
        grants.env.insert("LOG_LEVEL".to_owned(), "info".to_owned());
        grants.secrets = vec![
            secret("api_key", SecretExposure::Config),
            secret("DB_KEY", SecretExposure::Env),
            secret("HIDDEN", injected.clone()),
        ];
    };
    let steps = "variable=log_level&variable=api_key&variable=db_key&variable=hidden&variable=none&variable=a-b";
    let said = SPIN.map(|fixture| {
        let guest = Guest::of(fixture).grants(set).secret("api_key", "k1");
        ask(guest.secret("DB_KEY", "k2").secret("HIDDEN", "k3"), steps)
    });
    assert_snapshot!(said[0], @r#"
    ok info
    ok k1
    ok k2
    error Error::Undefined("no variable `hidden`: write `HIDDEN` into [function.NAME.env], or grant a secret of that name")
    error Error::Undefined("no variable `none`: write `NONE` into [function.NAME.env], or grant a secret of that name")
    error Error::InvalidName("a name has letters, digits and `_` only")
    "#);
    assert_snapshot!(said[1], @r#"
    ok info
    ok k1
    ok k2
    error Error::InvalidKey("no variable `hidden`: write `HIDDEN` into [function.NAME.env], or grant a secret of that name")
    error Error::InvalidKey("no variable `none`: write `NONE` into [function.NAME.env], or grant a secret of that name")
    error Error::InvalidKey("a name has letters, digits and `_` only")
    "#);
}
