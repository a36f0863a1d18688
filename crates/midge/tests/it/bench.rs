//! `midge bench` from outside: what it prints, keeps and compares, and that it leaves nothing behind.
//!
//! Nothing here says how fast anything is: the loads are short and the machine is busy.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use insta::assert_snapshot;
use midge_testkit::{Run, fixture, native_code_cache, process, wait_until};
use serde_json::Value;

use crate::kit::{BINARY, Site, server};

/// Short enough to wait for.
const SHORT: [&str; 8] = [
    "--duration",
    "300ms",
    "--rounds",
    "3",
    "--connections",
    "4",
    "--cold",
    "2",
];

/// `midge bench TARGET` with these flags, from start to end.
fn bench(target: &str, flags: &[&str]) -> String {
    let cache = native_code_cache();
    let cache = cache.to_string_lossy();
    let args = ["bench", target, "--cache-dir", &cache];
    let run = Run::of(BINARY, args.into_iter().chain(flags.iter().copied()));
    run.folder(fixture("not-wasm.txt").parent().unwrap())
        .to_end()
}

/// The same for something that runs already, which takes no flags of a node.
fn bench_running(url: &str, flags: &[&str]) -> String {
    let args = ["bench", url].into_iter().chain(flags.iter().copied());
    Run::of(BINARY, args).to_end()
}

/// The exit code of a run, and the figures that it printed as JSON.
fn figures(run: &str) -> (&str, Value) {
    let (code, rest) = run.split_once('\n').unwrap();
    let json = rest.lines().find(|line| line.starts_with('{'));
    let json = json.unwrap_or_else(|| panic!("no figures: {run}"));
    (code, serde_json::from_str(json).unwrap())
}

/// What went wrong: everything from `error:` on.
fn refusal(run: &str) -> String {
    let (code, rest) = run.split_once('\n').unwrap();
    let error = rest.find("error: ").unwrap_or_else(|| panic!("{run}"));
    format!("{code}\n{}", &rest[error..])
}

#[test]
fn a_file_is_measured_and_every_figure_has_its_line() {
    let run = bench("http02-tiny.wasm", &SHORT);
    assert!(run.starts_with("exit: 0\n"), "{run}");
    for begin in [
        "target      http02-tiny in http02-tiny.wasm",
        "request     GET /",
        "answers     ",
        "statuses    200: ",
        "latency     p50 ",
        "CPU         ",
        "invocation  queue p50 ",
        "instance    memory p50 ",
        "node        ",
        "generator   ",
        "\nlatency\n",
        "cold starts   2 functions, node ready in ",
        "first answer  p50 ",
        "of that       queue p50 ",
        "round 3 of 3: ",
    ] {
        assert!(run.contains(begin), "no `{begin}` in:\n{run}");
    }
}

#[test]
fn a_function_of_a_manifest_is_asked_as_its_route_says() {
    let site = Site::of(&[
        ("tiny", "http02-tiny.wasm", ""),
        (
            "echo",
            "http02-echo.wasm",
            "routes = [\"PUT shop.example.net/orders/*\"]\nenv = { A = \"b\" }",
        ),
    ]);
    let target = site.path().to_string_lossy().into_owned();
    let flags = [
        "--function",
        "echo",
        "--body",
        "four",
        "--json",
        "--env=KEY=hidden",
    ];
    let run = bench(&target, &[&SHORT[..], &flags].concat());
    let (code, figures) = figures(&run);
    assert_eq!(code, "exit: 0", "{run}");
    assert_eq!(figures["setup"]["request"], "PUT /orders/");
    assert_eq!(figures["setup"]["body_bytes"], 4);
    assert!(!run.contains("hidden"), "{run}");
    let answers = figures["load"]["answers"].as_u64().unwrap();
    assert_eq!(figures["load"]["body_bytes"], answers * 4);
    assert_eq!(figures["cold"]["statuses"]["200"], 2);
    assert!(figures["node"]["cpu_us_per_request"].as_f64().unwrap() > 0.0);
    assert_eq!(figures["rounds"].as_array().unwrap().len(), 3);
}

#[test]
fn figures_are_kept_and_a_slowdown_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("before.json");
    let path = path.to_string_lossy();
    let flags = ["--cold", "0", "--json"];
    let run = bench(
        "http02-tiny.wasm",
        &[&SHORT[..6], &flags, &["--save", &path]].concat(),
    );
    let (code, _) = figures(&run);
    assert_eq!(code, "exit: 0", "{run}");

    // A baseline that nobody could ever meet, and one that everybody does.
    let compared = |factor: f64| {
        let mut baseline: Value =
            serde_json::from_str(&fs::read_to_string(&*path).unwrap()).unwrap();
        for round in baseline["rounds"].as_array_mut().unwrap() {
            for figure in ["p50_us", "p99_us", "cpu_us_per_request"] {
                round[figure] = (1000.0 * factor).into();
            }
        }
        let other = folder.path().join("other.json");
        fs::write(&other, baseline.to_string()).unwrap();
        let other = other.to_string_lossy();
        let flags = [
            &SHORT[..6],
            &["--cold=0", "--fail-over=10%", "--baseline", &other],
        ];
        bench("http02-tiny.wasm", &flags.concat())
    };
    let slower = compared(1e-3);
    assert!(slower.contains("VERDICT"), "{slower}");
    assert_snapshot!(refusal(&slower), @r"
    exit: 1
    error: worse than the baseline: p50 us, p99 us, CPU us/request

    hint: measure again with more --rounds and a longer --duration, on a quiet machine
    ");
    let faster = compared(1e6);
    assert!(faster.starts_with("exit: 0\n"), "{faster}");
}

#[test]
fn a_baseline_that_is_none_is_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.json");
    let refused = |text: &str| {
        fs::write(&path, text).unwrap();
        let run = bench("none.wasm", &["--baseline", &path.to_string_lossy()]);
        refusal(&run).replace(&*folder.path().to_string_lossy(), "FOLDER")
    };
    assert_snapshot!(refused("{"), @r"
    exit: 1
    error: baseline `FOLDER/b.json` is not a file that --save wrote: EOF while parsing an object at line 1 column 1

    hint: write one with --save FILE
    ");
    assert_snapshot!(refused(r#"{"version": 99}"#), @r"
    exit: 1
    error: baseline `FOLDER/b.json` has version 99, this Midge knows 1

    hint: write one with --save FILE
    ");
    assert_snapshot!(refused(r#"{"version": 1}"#), @r"
    exit: 1
    error: baseline `FOLDER/b.json` is not a file that --save wrote: missing field `midge`

    hint: write one with --save FILE
    ");
}

#[test]
fn requests_that_are_due_by_the_clock_are_sent_by_the_clock() {
    let flags = ["--rate", "200", "--cold", "0", "--json"];
    let run = bench("http02-tiny.wasm", &[&SHORT[..6], &flags].concat());
    let (code, figures) = figures(&run);
    assert_eq!(code, "exit: 0", "{run}");
    // 60 are due in 300 ms; those of the first moments are not counted, those at the end may be late.
    let answers = figures["load"]["answers"].as_u64().unwrap();
    assert!((1..=70).contains(&answers), "{run}");
    assert_eq!(figures["setup"]["rate"], 200);
}

#[test]
fn failures_are_counted_and_the_run_fails() {
    let narrow = "limits = { concurrency = 1, queue = 0 }\nroutes = [\"/*\"]";
    let site = Site::of(&[("slow", "http02-stream.wasm", narrow)]);
    let target = site.path().to_string_lossy().into_owned();
    let path = ["--path", "/?n=2&size=10&delay_ms=20", "--cold", "0"];
    let run = bench(&target, &[&SHORT[..6], &path].concat());
    let masked = refusal(&run).replace(|letter: char| letter.is_ascii_digit(), "");
    assert!(run.contains("429: "), "{run}");
    assert!(run.starts_with("exit: 1\n"), "{run}");
    assert_snapshot!(masked, @r"
    exit: 
    error:  requests failed (: )

    hint: fewer --connections, a lower --rate, or more --concurrency
    ");
}

#[test]
fn what_does_not_answer_is_said_before_the_load() {
    assert_snapshot!(refusal(&bench("none.wasm", &SHORT)), @r"
    exit: 1
    error: read `none.wasm`: No such file or directory (os error 2)

    hint: midge bench FILE.wasm, or a folder with a midge.toml
    ");
    assert_snapshot!(refusal(&bench("not-wasm.txt", &SHORT)), @r"
    exit: 1
    error: function not-wasm: `not-wasm.txt`: this is not WebAssembly: it starts with `This fil`

    hint: give a `.wasm` or `.wat` file, as your compiler wrote it
    ");
    let trap = [&SHORT[..], &["--path", "/?at=before"]].concat();
    assert_snapshot!(refusal(&bench("http02-trap.wasm", &trap)), @r"
    exit: 1
    error: the function answered `GET /?at=before` with 502

    hint: the function failed: `midge run` shows what it wrote
    ");
    assert_snapshot!(refusal(&bench("http02-tiny.wasm", &["--body", "@none.json"])), @r"
    exit: 1
    error: read body from `none.json`: No such file or directory (os error 2)
    ");
    assert_snapshot!(refusal(&bench_running("http://127.0.0.1:1/", &SHORT)), @r"
    exit: 1
    error: 127.0.0.1:1 did not answer `GET /`: not connected

    hint: curl http://127.0.0.1:1/
    ");
}

#[test]
fn something_that_runs_already_is_only_timed() {
    let midge = server("http02-tiny.wasm").start();
    let url = format!("http://{}/", midge.addr());
    let run = bench_running(&url, &[&SHORT[..], &["--json"]].concat());
    let (code, figures) = figures(&run);
    assert_eq!(code, "exit: 0", "{run}");
    assert!(figures["load"]["latency"]["p50_us"].as_f64().unwrap() > 0.0);
    assert!(figures["node"].is_null());
    assert!(figures["cold"].is_null());
}

/// A long bench under way: the process, and that of its node.
struct UnderWay {
    bench: Child,
    node: u32,
    workers: Vec<u32>,
}

impl UnderWay {
    fn start() -> Self {
        let mut bench = Command::new(BINARY)
            .args([
                "bench",
                "http02-tiny.wasm",
                "--duration=30s",
                "--rounds=100",
            ])
            .args(["--connections=4", "--json", "--cache-dir"])
            .arg(native_code_cache())
            .current_dir(fixture("not-wasm.txt").parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(bench.stderr.take().unwrap()).lines();
        let under_way = lines.any(|line| line.unwrap().starts_with("round 1 of 100: "));
        assert!(under_way, "it said nothing of a round");
        // Whoever goes on saying something must not be held up.
        std::thread::spawn(move || lines.for_each(drop));
        let node = process::children(bench.id());
        let workers = process::children(node[0]);
        assert!(!workers.is_empty());
        Self {
            bench,
            node: node[0],
            workers,
        }
    }

    fn is_anything_left(&self) -> bool {
        process::is_alive(self.node) || self.workers.iter().any(|pid| process::is_alive(*pid))
    }
}

#[test]
fn ctrl_c_ends_the_load_prints_what_there_is_and_ends_the_node() {
    let mut under_way = UnderWay::start();
    process::signal(under_way.bench.id(), "INT");
    let mut printed = String::new();
    let stdout = under_way.bench.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut printed).unwrap();
    let status = under_way.bench.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(!under_way.is_anything_left());
    let figures: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(figures["interrupted"], true);
    assert!(figures["load"]["answers"].as_u64().unwrap() > 0);
    assert!(figures["cold"].is_null());
}

#[test]
fn a_bench_that_is_killed_leaves_no_node_behind() {
    let mut under_way = UnderWay::start();
    process::signal(under_way.bench.id(), "KILL");
    under_way.bench.wait().unwrap();
    wait_until("node and workers end", || !under_way.is_anything_left());
}

#[test]
fn nothing_is_written_where_the_function_lies() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.wasm");
    fs::copy(fixture("http02-tiny.wasm"), &file).unwrap();
    let run = bench(&file.to_string_lossy(), &SHORT);
    assert!(run.starts_with("exit: 0\n"), "{run}");
    let names = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(names(folder.path()), 1);
}
