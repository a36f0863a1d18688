//! The line is what the general formatter makes of the same event.

use std::sync::mpsc;

use proptest::prelude::*;
use tracing_subscriber::layer::SubscriberExt as _;

use super::super::gather;
use super::*;

struct Pipe(mpsc::Sender<Vec<u8>>);

impl std::io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The values of an access line.
#[derive(Debug, Clone)]
struct Values {
    namespace: Option<String>,
    reason: Option<String>,
    path: String,
    status: u16,
    bytes_out: u64,
    duration_ms: f64,
}

fn emit(values: &Values) {
    tracing::info!(
        target: ACCESS_TARGET,
        namespace = values.namespace.as_ref().map(tracing::field::display),
        request_id = "0198f3a2-7c4e-7d1b-9e55-0242ac120002",
        reason = values.reason.as_deref(),
        path = &*values.path,
        status = values.status,
        bytes_out = values.bytes_out,
        duration_ms = values.duration_ms,
        at = -1_i64,
        is_last = true,
        "request served"
    );
}

/// The line of this module, and that of the general formatter, without their times.
fn both(values: &Values, format: Format, colour: bool) -> [String; 2] {
    let (ours, theirs) = (mpsc::channel(), mpsc::channel());
    let (lines, ours_written) = gather::start(Pipe(ours.0));
    let (general_lines, theirs_written) = gather::start(Pipe(theirs.0));
    let served = ServedLines {
        lines,
        format,
        colour,
        brief: false,
    };
    let registry = tracing_subscriber::registry().with(served);
    let general = tracing_subscriber::fmt::layer().with_writer(general_lines);
    let emit = || emit(values);
    match format {
        Format::Json => {
            let general = general.json().flatten_event(true).with_current_span(false);
            tracing::subscriber::with_default(registry.with(general), emit);
        }
        Format::Text => {
            let general = general.compact().with_ansi(colour);
            tracing::subscriber::with_default(registry.with(general), emit);
        }
    }
    [(ours.1, ours_written), (theirs.1, theirs_written)].map(|(written, writing)| {
        assert_eq!(writing.end(), 0);
        without_time(&String::from_utf8(written.try_iter().flatten().collect()).unwrap())
    })
}

fn without_time(line: &str) -> String {
    let year = line.find("20").unwrap();
    let zone = year + line[year..].find('Z').unwrap();
    let time = &line[year..=zone];
    assert_eq!(time.len(), "2026-11-22T18:13:33.618103Z".len(), "{time}");
    humantime::parse_rfc3339(time).unwrap();
    line.replacen(time, "TIME", 1)
}

fn ordinary() -> Values {
    Values {
        namespace: None,
        reason: None,
        path: "/".to_owned(),
        status: 200,
        bytes_out: 12,
        duration_ms: 0.25,
    }
}

#[test]
fn an_ordinary_line() {
    insta::assert_snapshot!(both(&ordinary(), Format::Text, false)[0], @r#"TIME  INFO midge::access: request served request_id="0198f3a2-7c4e-7d1b-9e55-0242ac120002" path="/" status=200 bytes_out=12 duration_ms=0.25 at=-1 is_last=true"#);
    insta::assert_snapshot!(both(&ordinary(), Format::Json, false)[0], @r#"{"timestamp":"TIME","level":"INFO","message":"request served","request_id":"0198f3a2-7c4e-7d1b-9e55-0242ac120002","path":"/","status":200,"bytes_out":12,"duration_ms":0.25,"at":-1,"is_last":true,"target":"midge::access"}"#);
}

#[test]
fn the_second_is_made_anew_when_it_is_over() {
    let mut second = Second::default();
    let mut at = |micros| {
        let mut text = Vec::new();
        second.write(UNIX_EPOCH + Duration::from_micros(micros), &mut text);
        String::from_utf8(text).unwrap()
    };
    assert_eq!(at(7), "1970-01-01T00:00:00.000007Z");
    assert_eq!(at(999_999), "1970-01-01T00:00:00.999999Z");
    assert_eq!(at(1_000_000), "1970-01-01T00:00:01.000000Z");
    assert_eq!(at(951_782_400_000_000), "2000-02-29T00:00:00.000000Z");
    // A clock may be set back.
    assert_eq!(at(1_500_000), "1970-01-01T00:00:01.500000Z");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_line_is_what_the_general_formatter_makes(
        namespace in proptest::option::of(".{0,8}"),
        reason in proptest::option::of(any::<String>()),
        path in ".{0,40}",
        status in any::<u16>(),
        bytes_out in any::<u64>(),
        duration_ms in any::<f64>(),
    ) {
        let values = Values { namespace, reason, path, status, bytes_out, duration_ms };
        for (format, colour) in [(Format::Text, false), (Format::Text, true), (Format::Json, false)] {
            let [ours, theirs] = both(&values, format, colour);
            prop_assert_eq!(ours, theirs);
        }
    }
}
