//! Sockets and names go where they were granted, and nowhere else; over real sockets and a real
//! name server, for guests of both versions.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use midge_model::{Policy, Use};
use midge_sandbox::DnsConfig;
use midge_testkit::{DnsServer, wait_until_async};

use crate::denied::told_during;
use crate::kit::{Guest, invoke, reply};

const PROBES: [&str; 2] = ["http02-probe.wasm", "http03-probe.wasm"];

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// What a function gets: grants as `tcp 127.0.0.1:80`, a policy, a name server.
struct Setting {
    grants: Vec<String>,
    policy: Policy,
    dns: Option<SocketAddr>,
}

impl Setting {
    /// Under the policy of `midge run`.
    fn of<S: Into<String>>(grants: impl IntoIterator<Item = S>) -> Self {
        Self {
            grants: grants.into_iter().map(Into::into).collect(),
            policy: Policy::operator(),
            dns: None,
        }
    }

    fn asking(mut self, server: &DnsServer) -> Self {
        self.dns = Some(server.address());
        self
    }

    fn under(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    fn guest(&self, probe: &str) -> Guest {
        let dns = DnsConfig::Servers(self.dns.into_iter().collect());
        let policy = self.policy.clone();
        let guest = Guest::of(probe).powers(|powers| {
            powers.policy = policy;
            powers.dns = dns;
        });
        guest.grants(|grants| {
            for grant in &self.grants {
                let (key, text) = grant.split_once(' ').unwrap();
                match key {
                    "tcp" => grants.tcp.push(text.parse().unwrap()),
                    "udp" => grants.udp.push(text.parse().unwrap()),
                    "dns" => grants.dns.push(text.parse().unwrap()),
                    "listen" => grants.listen.push(text.parse().unwrap()),
                    _ => panic!("no key `{key}`"),
                }
            }
        })
    }

    /// What came of the steps, the same in both versions: a line for each.
    fn check(&self, steps: &str) -> String {
        let answers = PROBES.map(|probe| {
            let reply = self.guest(probe).get(&format!("/?{steps}")).unwrap();
            assert_eq!(reply.status, 200);
            reply.text().trim_end().to_owned()
        });
        let [of_02, of_03] = answers;
        assert_eq!(of_02, of_03, "0.2 and 0.3 differ");
        of_02
    }
}

/// Answers every line of every connection with `pong`, and counts connections.
struct Echo {
    address: SocketAddr,
    reached: Arc<AtomicUsize>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let echo = Self {
            address: listener.local_addr().unwrap(),
            reached: Arc::default(),
        };
        let reached = Arc::clone(&echo.reached);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                reached.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    while let Some(Ok(_)) = lines.next() {
                        drop(stream.write_all(b"pong\n"));
                    }
                });
            }
        });
        echo
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::Relaxed)
    }
}

/// Answers every datagram with `pong`.
fn echo_of_datagrams() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut datagram = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut datagram) {
            drop(socket.send_to(b"pong", from));
        }
    });
    address
}

#[test]
fn without_a_grant_nothing_is_opened_and_the_request_is_answered() {
    let (echo, server) = (Echo::start(), DnsServer::start());
    server.answer("db.test", &[LOOPBACK]);
    let steps = format!(
        "tcp={0}&udp={0}&listen=127.0.0.1:0&dns=db.test&name-tcp=db.test:{1}",
        echo.address,
        echo.port()
    );
    let setting = Setting::of::<&str>([]).asking(&server);
    assert_eq!(setting.check(&steps), ["error access-denied"; 5].join("\n"));
    assert_eq!(echo.reached(), 0);
    assert!(server.asked().is_empty());
}

#[test]
fn an_address_is_reached_by_a_grant_of_it_of_its_block_or_of_its_ports() {
    let echo = Echo::start();
    let (port, step) = (echo.port(), format!("tcp={}", echo.address));
    for grant in [
        format!("tcp 127.0.0.1:{port}"),
        format!("tcp 127.0.0.0/8:{port}"),
        format!("tcp 127.0.0.1:{}-{port}", port - 1),
        "tcp 127.0.0.1:*".to_owned(),
    ] {
        assert_eq!(Setting::of([&grant]).check(&step), "ok pong", "{grant}");
    }
    let reached = echo.reached();
    for grant in [
        format!("tcp 127.0.0.1:{}", port - 1),
        format!("tcp 127.0.0.2:{port}"),
        format!("tcp 10.0.0.0/8:{port}"),
        format!("udp 127.0.0.1:{port}"),
        // A wildcard is for the open internet, whoever the operator is.
        format!("tcp *:{port}"),
    ] {
        assert_eq!(
            Setting::of([&grant]).check(&step),
            "error access-denied",
            "{grant}"
        );
    }
    assert_eq!(echo.reached(), reached);
}

#[test]
fn a_mapped_address_is_no_way_around() {
    let echo = Echo::start();
    let step = format!("tcp=[::ffff:127.0.0.1]:{}", echo.port());
    let setting = Setting::of([format!("tcp *:{}", echo.port())]);
    let came_of_it = setting.check(&step);
    assert!(came_of_it.starts_with("error "), "{came_of_it}");
    assert_eq!(echo.reached(), 0);
}

#[test]
fn a_name_is_reached_at_the_addresses_it_was_found_to_have() {
    let (echo, other, server) = (Echo::start(), Echo::start(), DnsServer::start());
    server.answer("db.test", &[LOOPBACK]);
    let (port, there, elsewhere) = (echo.port(), echo.address, other.address);
    let private = Policy::serve_default().with_private(&["db.test".parse().unwrap()]);
    let setting = Setting::of([format!("tcp db.test:{port}")])
        .asking(&server)
        .under(private);
    // Not before it was looked up; not on another port of the same address; not in the next run.
    let steps = format!("tcp={there}&name-tcp=db.test:{port}&tcp={there}&tcp={elsewhere}");
    let expected = "error access-denied\nok pong\nok pong\nerror access-denied";
    assert_eq!(setting.check(&steps), expected);
    assert_eq!(setting.check(&steps), expected);
    assert_eq!(other.reached(), 0);
}

#[test]
fn a_name_that_leads_to_this_machine_needs_the_operator() {
    let (echo, server) = (Echo::start(), DnsServer::start());
    server.answer("db.test", &[LOOPBACK]);
    let port = echo.port();
    let grant = format!("tcp db.test:{port}");
    let step = format!("name-tcp=db.test:{port}");
    for policy in [Policy::serve_default(), Policy::operator()] {
        let setting = Setting::of([&grant]).asking(&server).under(policy);
        assert_eq!(setting.check(&step), "error access-denied");
    }
    assert_eq!(echo.reached(), 0);
    // What the operator types is meant; so is `localhost`, of which nobody is asked.
    let localhost = Setting::of([format!("tcp localhost:{port}")]).asking(&server);
    assert_eq!(
        localhost.check(&format!("name-tcp=localhost:{port}")),
        "ok pong"
    );
    assert!(
        server
            .asked()
            .iter()
            .all(|name| name.starts_with("db.test "))
    );
}

#[test]
fn a_name_that_is_rebound_leads_nowhere() {
    let (echo, server) = (Echo::start(), DnsServer::start());
    let port = echo.port();
    let public: IpAddr = "192.88.99.99".parse().unwrap();
    for rebound in ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"] {
        let setting = Setting::of([format!("tcp *:{port}"), format!("tcp evil.test:{port}")])
            .asking(&server)
            .under(Policy::serve_default());
        for probe in PROBES {
            // Each kind of address has turns of its own; whichever comes, the second look-up lies.
            let lie: IpAddr = rebound.parse().unwrap();
            server.answer_in_turn("evil.test", &[&[public], &[lie]]);
            let steps = format!("/?dns=evil.test&name-tcp=evil.test:{port}&tcp=127.0.0.1:{port}");
            let text = setting.guest(probe).get(&steps).unwrap().text();
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines[0], format!("ok {public}"), "{rebound} {probe}");
            assert_eq!(lines[1], "error access-denied", "{rebound} {probe}");
            assert_eq!(lines[2], "error access-denied", "{rebound} {probe}");
        }
    }
    assert_eq!(echo.reached(), 0);
}

#[test]
fn private_addresses_are_not_told_beside_public_ones() {
    let server = DnsServer::start();
    let public = "93.184.216.34";
    server.answer("mixed.test", &[LOOPBACK, public.parse().unwrap()]);
    server.answer("inside.test", &["10.0.0.5".parse().unwrap()]);
    let setting = Setting::of(["dns *"]).asking(&server);
    assert_eq!(setting.check("dns=mixed.test"), format!("ok {public}"));
    // To know it may be all that is wanted.
    assert_eq!(setting.check("dns=inside.test"), "ok 10.0.0.5");
}

#[test]
fn names_are_looked_up_if_they_are_granted_or_implied() {
    let server = DnsServer::start();
    for name in ["a.test", "b.test", "c.d.test"] {
        server.answer(name, &["93.184.216.34".parse().unwrap()]);
    }
    let steps = "dns=a.test&dns=b.test&dns=c.d.test&dns=A.TEST.";
    let (found, denied) = ("ok 93.184.216.34", "error access-denied");
    for (grants, expected) in [
        (vec!["dns a.test"], [found, denied, denied, found]),
        (vec!["tcp a.test:1"], [found, denied, denied, found]),
        (vec!["udp a.test:1"], [found, denied, denied, found]),
        (vec!["dns *.d.test"], [denied, denied, found, denied]),
        (
            vec!["dns a.test", "dns b.test"],
            [found, found, denied, found],
        ),
        (vec!["tcp 93.184.216.34:*"], [denied; 4]),
    ] {
        let setting = Setting::of(grants.clone()).asking(&server);
        assert_eq!(setting.check(steps), expected.join("\n"), "{grants:?}");
    }
}

#[test]
fn a_look_up_fails_with_the_code_that_fits() {
    let server = DnsServer::start();
    let setting = Setting::of(["dns *"]).asking(&server);
    let steps = "dns=none.test&dns=not%20a%20name&dns=0xa9fea9fe&dns=b%C3%BCcher.test";
    let expected = "error name-unresolvable\nerror invalid-argument\nerror invalid-argument\n\
                    error invalid-argument";
    assert_eq!(setting.check(steps), expected);
    // An address is its own answer, and what it may be used for is decided when it is used.
    assert_eq!(
        setting.check("dns=192.0.2.7&dns=%5B::1%5D"),
        "ok 192.0.2.7\nok ::1"
    );
    let nobody = Setting::of(["dns *"]);
    assert_eq!(
        nobody.check("dns=a.test"),
        "error permanent-resolver-failure"
    );
}

#[test]
fn a_look_up_that_nobody_answers_ends_with_its_guest() {
    let server = DnsServer::start();
    server.ignore("slow.test");
    let setting = Setting::of(["dns *"]).asking(&server);
    for probe in PROBES {
        let guest = setting.guest(probe).time(Duration::from_millis(300));
        let outcome = guest.get("/?dns=slow.test").unwrap_err();
        assert_eq!(outcome.code(), "out-of-time");
    }
}

#[test]
fn datagrams_go_both_ways_where_they_may_and_nowhere_else() {
    let there = echo_of_datagrams();
    let (port, elsewhere) = (there.port(), echo_of_datagrams());
    let setting = Setting::of([format!("udp 127.0.0.1:{port}")]);
    let steps = format!("udp={there}&udp={there}&connected&udp={elsewhere}&tcp={there}");
    let expected = "ok pong\nok pong\nerror access-denied\nerror access-denied";
    assert_eq!(setting.check(&steps), expected);
}

#[test]
fn listening_needs_a_grant_of_the_address() {
    let echo = Echo::start();
    let reach = format!("tcp 127.0.0.1:{}", echo.port());
    let client = Setting::of([&reach]);
    let steps = "listen=127.0.0.1:0&listen=0.0.0.0:0";
    assert_eq!(
        client.check(steps),
        "error access-denied\nerror access-denied"
    );
    let server = Setting::of(["listen 127.0.0.1:*"]);
    assert_eq!(server.check(steps), "ok listening\nerror access-denied");
    // Who may listen may not connect for it.
    let steps = format!("tcp={}", echo.address);
    assert_eq!(server.check(&steps), "error access-denied");
}

#[test]
fn open_sockets_are_bounded_and_given_back() {
    let echo = Echo::start();
    let (there, datagrams) = (echo.address, echo_of_datagrams());
    let setting = Setting::of([format!("tcp {there}"), format!("udp {datagrams}")]);
    for probe in PROBES {
        let guest = || setting.guest(probe).limits(|limits| limits.sockets = 4);
        let lines = |steps: &str| {
            let text = guest().get(&format!("/?{steps}")).unwrap().text();
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines
        };
        // One after the other as many as it likes.
        let one_by_one = lines(&format!("tcp={there}&times=20&udp={datagrams}&times=20"));
        assert_eq!(one_by_one, ["ok pong"; 40], "{probe}");
        // At once four of both kinds together.
        let at_once = lines(&format!(
            "tcp={there}&times=3&keep&udp={datagrams}&times=3&keep"
        ));
        assert_eq!(at_once[..4], ["ok pong"; 4], "{probe}");
        for line in &at_once[4..] {
            assert!(line.contains("new-socket-limit"), "{probe}: {line}");
        }
    }
}

#[test]
fn descriptors_are_back_when_the_guest_is_gone() {
    let echo = Echo::start();
    let setting = Setting::of([format!("tcp {}", echo.address)]);
    for probe in PROBES {
        setting.guest(probe).run(async |function| {
            let request = || {
                let path = format!("/?tcp={}&times=8&keep", echo.address);
                let request = http::Request::get(path);
                request.body(midge_sandbox::RequestBody::empty()).unwrap()
            };
            let answer = invoke(&function, request()).await.unwrap();
            assert_eq!(reply(answer).await.unwrap().text(), "ok pong\n".repeat(8));
            let before = open_sockets();
            for _ in 0..8 {
                let answer = invoke(&function, request()).await.unwrap();
                reply(answer).await.unwrap();
            }
            // The guest ends a moment after its answer; the other ends are this process's too.
            wait_until_async("its sockets are closed", async || open_sockets() <= before).await;
        });
    }
}

/// How many sockets this process has open.
fn open_sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = links.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn a_refusal_is_told_with_the_line_that_would_allow_it() {
    let server = DnsServer::start();
    server.answer("db.test", &["10.0.0.5".parse().unwrap()]);
    let told = |grants: &[&str], steps: &str| {
        let setting = Setting::of(grants.iter().copied()).asking(&server);
        let path = format!("/?{steps}");
        let (_, lines) = told_during(|| setting.guest(PROBES[0]).get(&path).unwrap());
        lines.join("\n")
    };
    insta::assert_snapshot!(told(&[], "dns=db.test&tcp=10.0.0.5:5432&udp=10.0.0.5:53"), @r#"
    denied: look up db.test: no grant says this name; to allow it add to [function.guest.allow]: dns = ["db.test"]
    denied: open a tcp socket: no tcp grant; to allow it add to [function.guest.allow]: tcp = ["HOST:PORT"]
    denied: open a udp socket: no udp grant; to allow it add to [function.guest.allow]: udp = ["HOST:PORT"]
    "#);
    insta::assert_snapshot!(
        told(&["dns db.test"], "dns=db.test&tcp=10.0.0.5:5432"),
        @r#"denied: open a tcp socket: no tcp grant; to allow it add to [function.guest.allow]: tcp = ["db.test:PORT"]"#
    );
    let steps = "dns=db.test&tcp=10.0.0.5:5432&tcp=10.0.0.5:80&tcp=93.184.216.34:80";
    insta::assert_snapshot!(told(&["tcp db.test:5432"], steps), @r#"
    denied: connect to db.test:5432 at 10.0.0.5 over tcp: `db.test` leads to `10.0.0.5`, which is private, and no `private` rule of the policy covers it; to allow it the operator adds to the policy: private = ["db.test"]
    denied: connect to db.test:80 at 10.0.0.5 over tcp: no tcp grant covers it; to allow it add to [function.guest.allow]: tcp = ["db.test:80"]
    denied: connect to 93.184.216.34:80 over tcp: no tcp grant covers it; to allow it add to [function.guest.allow]: tcp = ["93.184.216.34:80"]
    "#);
    let steps = "listen=127.0.0.1:8080&listen=0.0.0.0:0";
    insta::with_settings!({ filters => [(r"0\.0\.0\.0:\d+", "0.0.0.0:[port]")] }, {
        insta::assert_snapshot!(told(&["tcp db.test:5432"], steps), @r#"
        denied: bind a tcp socket to 127.0.0.1:8080: no listen grant covers it; who only connects or sends binds to port 0 of any address; to allow it add to [function.guest.allow]: listen = ["127.0.0.1:8080"]
        denied: listen on 0.0.0.0:[port]: no listen grant covers it, and functions are not servers; to allow it add to [function.guest.allow]: listen = ["0.0.0.0:*"]
        "#);
    });
}

#[test]
fn what_was_used_is_learned_by_name() {
    let (echo, server) = (Echo::start(), DnsServer::start());
    server.answer("db.test", &[LOOPBACK]);
    let (port, datagrams) = (echo.port(), echo_of_datagrams());
    let private = Policy::serve_default()
        .with_private(&["db.test".parse().unwrap(), "127.0.0.1".parse().unwrap()]);
    let setting = Setting::of(["tcp db.test:*", "udp 127.0.0.1:*", "dns *"])
        .asking(&server)
        .under(private);
    for probe in PROBES {
        let guest = setting.guest(probe).powers(|powers| powers.learn = true);
        let uses = guest.run(async |function| {
            let path = format!("/?name-tcp=db.test:{port}&udp={datagrams}");
            let request = http::Request::get(path);
            let request = request.body(midge_sandbox::RequestBody::empty()).unwrap();
            let answer = invoke(&function, request).await.unwrap();
            assert_eq!(reply(answer).await.unwrap().text(), "ok pong\nok pong\n");
            function.take_uses()
        });
        let db: midge_model::HostName = "db.test".parse().unwrap();
        assert!(uses.contains(&Use::Name(db.clone())), "{probe}: {uses:?}");
        assert!(
            uses.contains(&Use::Tcp { host: db, port }),
            "{probe}: {uses:?}"
        );
        let host = LOOPBACK.into();
        let port = datagrams.port();
        assert!(uses.contains(&Use::Udp { host, port }), "{probe}: {uses:?}");
    }
}
