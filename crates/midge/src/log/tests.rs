//! Which lines there are, in which order, and what they cost who is not asked.

use std::sync::mpsc;

use insta::assert_snapshot;
use midge_ingress::ACCESS_TARGET;

use super::*;

struct Pipe(mpsc::Sender<Vec<u8>>);

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        drop(self.0.send(bytes.to_vec()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What `emit` leaves in the log, without times.
fn check(filter: &str, format: Format, emit: impl FnOnce()) -> String {
    let config = LogConfig {
        filter: filter.to_owned(),
        format,
        quiet: false,
        colour: false,
        brief: false,
    };
    let (sender, written) = mpsc::channel();
    let (lines, writing) = gather::start(Pipe(sender));
    tracing::dispatcher::with_default(&subscriber(&config, lines, None), emit);
    assert_eq!(writing.end(), 0);
    let text = String::from_utf8(written.try_iter().flatten().collect()).unwrap();
    let lines = text.lines().map(|line| match line.split_once("Z ") {
        Some((_, line)) => line.trim(),
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One request, as a worker logs it.
fn request() {
    tracing::debug!("request came");
    tracing::info!(
        target: GUEST_LOG_TARGET,
        function = "shop",
        line = "half done",
        "guest wrote"
    );
    tracing::warn!("odd");
    tracing::info!(target: ACCESS_TARGET, status = 200, "request served");
    tracing::info!("function loaded");
}

#[test]
fn lines_stand_in_the_order_of_what_happened() {
    assert_snapshot!(check("info", Format::Text, request), @"
    [shop] half done
    WARN midge::log::tests: odd
    INFO midge::access: request served status=200
    INFO midge::log::tests: function loaded
    ");
}

#[test]
fn the_filter_decides_which_lines_there_are() {
    assert_snapshot!(check("warn", Format::Text, request), @"WARN midge::log::tests: odd");
    assert_snapshot!(check("info,midge::access=off", Format::Text, request), @"
    [shop] half done
    WARN midge::log::tests: odd
    INFO midge::log::tests: function loaded
    ");
    assert_snapshot!(check("off,midge::access=info", Format::Text, request), @"INFO midge::access: request served status=200");
    assert_eq!(check("info", Format::Json, request).lines().count(), 4);
    assert_eq!(
        check("info,midge::access=off", Format::Json, request)
            .lines()
            .count(),
        3
    );
}

/// The engine makes spans around each host call. With a filter that does not say how far it
/// reaches each of them would be made, for nobody.
#[test]
fn what_no_filter_wants_is_out_of_question_by_its_level() {
    for format in [Format::Text, Format::Json] {
        let mut level = None;
        check("info", format, || level = Some(LevelFilter::current()));
        assert_eq!(level, Some(LevelFilter::INFO));
    }
}

#[test]
fn a_guests_line_names_its_function_and_nothing_else() {
    let line = GuestLine {
        function: "resize".to_owned(),
        line: "half done".to_owned(),
    };
    assert_eq!(line.to_text(false), "[resize] half done\n");
}

#[test]
fn each_function_has_its_colour() {
    let line = |function: &str, colour| {
        let line = GuestLine {
            function: function.to_owned(),
            line: "half \u{1b}[31mdone".to_owned(),
        };
        line.to_text(colour)
    };
    assert_eq!(line("shop", false), "[shop] half \u{fffd}[31mdone\n");
    let coloured = line("shop", true);
    assert_eq!(coloured, line("shop", true));
    assert_ne!(
        coloured.split('[').nth(1),
        line("cart", true).split('[').nth(1)
    );
    assert!(
        coloured.ends_with(" half \u{fffd}[31mdone\n"),
        "{coloured:?}"
    );
}
