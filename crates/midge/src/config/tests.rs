//! What flags mean together, and what is refused.

use clap::Parser as _;
use insta::assert_snapshot;

use super::*;
use crate::cli::{Args, Command};

fn check(typed: &[&str]) -> String {
    let typed = ["midge", "run", "--cache-dir", "/cache"]
        .iter()
        .chain(typed);
    let args = match Args::try_parse_from(typed) {
        Ok(args) => args,
        Err(usage) => return usage.to_string(),
    };
    let Command::Run(args) = args.command else {
        panic!("`run` was typed")
    };
    match RunConfig::new(*args) {
        Ok(config) => format!("{:?} {:?} {:?}", config.listen, config.workers, config.tls),
        Err(error) => format!("error: {:#}", crate::cmd::fault::hinted(error)),
    }
}

#[test]
fn one_worker_as_typed_is_this_process() {
    assert_snapshot!(check(&["--workers", "1"]), @"127.0.0.1:8080 InProcess None");
    assert_snapshot!(check(&["--workers", "3"]), @"127.0.0.1:8080 Processes(3) None");
}

#[test]
fn a_listen_address_needs_a_port() {
    assert_snapshot!(check(&["--listen", "127.0.0.1"]), @"error: listen address `127.0.0.1` is not HOST:PORT, write for example `127.0.0.1:8080`: invalid socket address");
}

#[test]
fn limits_out_of_bounds_are_refused_at_the_flag() {
    assert_snapshot!(check(&["--memory", "8GiB"]), @r"
    error: invalid value '8GiB' for '--memory <SIZE>': memory of `8GiB` is out of range, write `64KiB` to `4GiB`

    For more information, try '--help'.
    ");
    assert_snapshot!(check(&["--time", "5"]), @r"
    error: invalid value '5' for '--time <DURATION>': duration `5` has no unit, write for example `5s` or `5ms`

    For more information, try '--help'.
    ");
    assert_snapshot!(check(&["--concurrency", "0"]), @r"
    error: invalid value '0' for '--concurrency <N>': 0 is not in 1..=10000

    For more information, try '--help'.
    ");
}

#[test]
fn a_certificate_needs_its_key() {
    assert_snapshot!(check(&["--tls-cert", "a.pem"]), @r"
    error: the following required arguments were not provided:
      --tls-key <FILE>

    Usage: midge run --tls-cert <FILE> --tls-key <FILE> --cache-dir <FOLDER> [PATH]

    For more information, try '--help'.
    ");
}

#[test]
fn the_cache_lies_in_the_users_cache_folder() {
    let path = |xdg: Option<&str>, home: Option<&str>| {
        default_cache_dir(xdg.map(OsString::from), home.map(OsString::from))
    };
    assert_eq!(
        path(Some("/x"), Some("/h")),
        Some(PathBuf::from("/x/midge"))
    );
    assert_eq!(
        path(Some("relative"), Some("/h")),
        Some(PathBuf::from("/h/.cache/midge"))
    );
    assert_eq!(path(None, Some("")), None);
}
