//! Functions asked and listened to through the control door.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use midge_testkit::wait_until;

use super::{Node, stdout};
use crate::kit::BINARY;

#[test]
fn an_invocation_passes_bytes_on_and_tells_of_failure() {
    let node = Node::start();
    node.deploy("http02-echo.wasm");
    node.deploy("hostile-cpu-spin.wasm");
    let body = node.home.path().join("body");
    fs::write(&body, b"\x1b[2J bytes").unwrap();
    let text = node.run(&["invoke", "http02-echo", "--data", "@body"]);
    assert_eq!(stdout(&text), "\u{1b}[2J bytes");
    let token = node.token();
    let piped = node.prepare(
        &token,
        &["invoke", "http02-echo", "--data", "@-", "-X", "PUT", "-i"],
    );
    let text = piped.stdin(b"from stdin\n").to_end();
    assert!(text.contains("--- stdout\nfrom stdin\n"), "{text}");
    assert!(text.contains("x-echo-method: PUT\n"), "{text}");
    assert_snapshot!(node.run(&["invoke", "hostile-cpu-spin"]), @r"
    exit: 1
    --- stdout
    the function needed more than its 2s of CPU time
    --- stderr
    504 Gateway Timeout in N ms
    ");
    assert_snapshot!(node.run(&["invoke", "http02-ech"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: namespace `default` has no function `http02-ech`

    hint: did you mean `http02-echo`?
    ");
    assert_snapshot!(node.run(&["invoke", "http02-echo", "--revision", "r7"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function `http02-echo` has no revision r7, or not any more

    hint: it keeps r1
    ");
}

/// A `midge logs -f`, and what it has printed so far.
struct Follower {
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl Follower {
    fn start(node: &Node, function: &str) -> Self {
        let mut child = Command::new(BINARY)
            .args(["logs", "-f", function])
            .current_dir(node.home.path())
            .env_clear()
            .env("MIDGE_CONTROL", node.midge.control())
            .env("MIDGE_TOKEN", node.token())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let printed = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&printed);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                copy.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, printed }
    }

    fn count(&self, word: &str) -> usize {
        self.printed.lock().unwrap().matches(word).count()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn lines_are_followed_over_a_restart_and_printed_once() {
    let mut node = Node::start();
    node.deploy("http02-log.wasm");
    let write = |node: &Node, word: &str| {
        let path = format!("/?stdout={word}");
        let text = node.run(&["invoke", "http02-log", "--path", &path]);
        assert!(text.starts_with("exit: 0\n"), "{text}");
    };
    write(&node, "before");
    wait_until("the node has the line", || {
        node.run(&["logs", "http02-log"]).contains("before")
    });
    let follower = Follower::start(&node, "http02-log");
    wait_until("it prints what was", || follower.count("before") == 1);
    write(&node, "during");
    wait_until("it prints what is written", || {
        follower.count("during") == 1
    });

    node.start_again();
    write(&node, "after");
    wait_until("it goes on after the restart", || {
        follower.count("after") == 1
    });
    assert_eq!(follower.count("before") + follower.count("during"), 2);
    let last = node.run(&["logs", "http02-log", "--last", "1", "--json"]);
    assert_eq!(stdout(&last).lines().count(), 1, "{last}");
    assert!(last.contains(r#""line":"after""#), "{last}");
}
