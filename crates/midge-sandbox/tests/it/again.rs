//! An instance in its second invocation and after: what it finds as a new one would, and what it
//! finds as it left it. When it is thrown away is seen in the runtime's tests.

use midge_testkit::Upstream;

use crate::kit::{Guest, Shelf, ask_again};

const PROBES: [&str; 2] = ["http02-probe.wasm", "http03-probe.wasm"];

#[test]
fn what_is_an_invocations_is_whole_again() {
    let upstream = Upstream::start();
    let here = format!("http://127.0.0.1:{}", upstream.port());
    for probe in PROBES {
        let guest = Guest::of(probe).serial();
        let guest = guest.grants(|grants| grants.http = vec![here.parse().unwrap()]);
        let guest = guest.limits(|limits| limits.outbound_calls = 2);
        guest.run(async |function| {
            let shelf = Shelf::default();
            let path = format!("/?fetch={here}/&times=3");
            for nth in 1..=3 {
                let (said, asked) = ask_again(&function, &shelf, &path).await;
                let ok = "ok 200 9 from afar\n".repeat(2);
                assert_eq!(said, Ok(ok + "error http-request-denied\n"), "{probe}");
                assert_eq!(asked, nth, "{probe}: one instance");
            }
        });
    }
}

#[test]
fn processor_time_is_each_invocations_own() {
    for guest in ["http02-busy.wasm", "http03-busy.wasm"] {
        let guest = Guest::of(guest).serial().limits(|limits| {
            limits.cpu = std::time::Duration::from_millis(200);
        });
        guest.run(async |function| {
            let shelf = Shelf::default();
            for nth in 1..=4 {
                let (said, asked) = ask_again(&function, &shelf, "/?ms=80").await;
                assert!(said.is_ok(), "{said:?}");
                assert_eq!(asked, nth);
            }
        });
    }
}

#[test]
fn memory_and_the_private_folder_stay() {
    for probe in PROBES {
        let guest = Guest::of(probe).serial();
        let guest = guest.grants(|grants| grants.tmp_bytes = Some(1 << 20));
        guest.run(async |function| {
            let shelf = Shelf::default();
            let (said, _) = ask_again(&function, &shelf, "/?write=/tmp/a&bytes=3").await;
            assert!(said.unwrap().starts_with("ok"));
            let (said, nth) = ask_again(&function, &shelf, "/?read=/tmp/a").await;
            assert_eq!((said.unwrap().as_str(), nth), ("ok 3 xxx\n", 2), "{probe}");
            // Another instance has another folder.
            shelf.0.take();
            let (said, nth) = ask_again(&function, &shelf, "/?read=/tmp/a").await;
            assert!(said.unwrap().starts_with("error"));
            assert_eq!(nth, 1);
        });
    }
}

#[test]
fn a_guest_of_0_3_counts_on_in_its_instance() {
    Guest::of("http03-kept.wasm")
        .serial()
        .run(async |function| {
            let shelf = Shelf::default();
            for nth in 1..=3 {
                let (said, asked) = ask_again(&function, &shelf, "/?late=5&handles=10").await;
                assert_eq!((said.unwrap(), asked), (format!("{nth} 1"), nth));
            }
            for how in ["trap", "error"] {
                let (said, _) = ask_again(&function, &shelf, &format!("/?how={how}")).await;
                assert!(said.is_err(), "{said:?}");
                let (said, asked) = ask_again(&function, &shelf, "/").await;
                assert_eq!((said.unwrap().as_str(), asked), ("1 1", 1), "after {how}");
            }
        });
}

#[test]
fn a_command_is_never_asked_again_whatever_its_revision_says() {
    Guest::of("command02-echo.wasm")
        .serial()
        .run(async |function| {
            let request = http::Request::get("/").body(midge_sandbox::RequestBody::empty());
            let answer = crate::kit::invoke(&function, request.unwrap())
                .await
                .unwrap();
            assert_eq!(answer.instance, None);
        });
}
