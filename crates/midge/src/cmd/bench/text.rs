//! Figures as a person reads them.
//!
//! Every number with its unit, rounded to what it is worth. What the figures are is `report.rs`.
//!
//! **Invariant:** it reads the same without colour, and in eighty columns.

use std::fmt::Write as _;

use midge_model::quantity::format_bytes;

use super::compare::Comparison;
use super::figures::number;
use super::report::{ColdFigures, InvocationFigures, LoadFigures, NodeFigures, Report, Spectrum};
use crate::table::{Facts, Table};

/// The longest bar.
const BAR_COLUMNS: u64 = 40;

/// All of it.
pub(super) fn report(report: &Report) -> String {
    let mut facts = Facts::default();
    facts.row("target", &report.setup.target);
    facts.row("request", &report.setup.request);
    load(&mut facts, &report.load);
    if let Some(node) = &report.node {
        facts.row("CPU", &cpu(node, report.invocation.as_ref()));
    }
    if let Some(invocation) = &report.invocation {
        facts.row("invocation", &invocation_line(invocation));
        facts.row("instance", &instance(invocation));
    }
    if let Some(node) = &report.node {
        let before = format_bytes(node.memory_before_bytes);
        let under = format_bytes(node.memory_under_load_bytes);
        facts.row(
            "node",
            &format!("{before} before, {under} under load, all processes"),
        );
    }
    facts.row(
        "generator",
        &format!("{:.0} % of one core", report.load.generator_cores * 100.0),
    );
    let mut text = facts.to_text();
    if let Some(latency) = &report.load.latency {
        text.push_str("\nlatency\n");
        text.push_str(&plot(latency));
    }
    if let Some(cold) = &report.cold {
        text.push_str(&cold_text(cold));
    }
    text
}

fn load(facts: &mut Facts, load: &LoadFigures) {
    facts.row(
        "answers",
        &format!("{} in all, {:.0}/s", load.answers, load.per_second),
    );
    let statuses = load
        .statuses
        .iter()
        .map(|(status, count)| (status.to_string(), count));
    let broken = load
        .broken
        .iter()
        .map(|(broken, count)| (broken.clone(), count));
    let seen: Vec<_> = statuses
        .chain(broken)
        .map(|(what, count)| format!("{what}: {count}"))
        .collect();
    facts.row("statuses", &seen.join(", "));
    if load.unsent > 0 {
        facts.row(
            "unsent",
            &format!("{}, no connection was free", load.unsent),
        );
    }
    if load.cut > 0 {
        facts.row("cut", &format!("{} had no answer at the end", load.cut));
    }
    if let Some(latency) = &load.latency {
        facts.row("latency", &quantiles(latency));
    }
}

fn quantiles(latency: &Spectrum) -> String {
    format!(
        "p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
        time(latency.p50_us),
        time(latency.p90_us),
        time(latency.p99_us),
        time(latency.p999_us),
        time(latency.max_us),
    )
}

fn cpu(node: &NodeFigures, invocation: Option<&InvocationFigures>) -> String {
    let all = format!("{} a request, all processes", time(node.cpu_us_per_request));
    match invocation.and_then(|invocation| invocation.cpu.as_ref()) {
        Some(charged) => format!("{all}; charged to the guest p50 {}", time(charged.p50_us)),
        None => all,
    }
}

fn invocation_line(invocation: &InvocationFigures) -> String {
    let parts = [
        ("queue", &invocation.queue),
        ("instantiate", &invocation.instantiate),
        ("run", &invocation.run),
    ];
    let parts = parts.iter().filter_map(|(name, part)| {
        let part = part.as_ref()?;
        Some(format!(
            "{name} p50 {} p99 {}",
            time(part.p50_us),
            time(part.p99_us)
        ))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn instance(invocation: &InvocationFigures) -> String {
    match (invocation.memory_p50_bytes, invocation.memory_max_bytes) {
        (Some(p50), Some(max)) => {
            let [p50, max] = [p50, max].map(format_bytes);
            format!("memory p50 {p50}, max {max}")
        }
        _ => String::new(),
    }
}

fn cold_text(cold: &ColdFigures) -> String {
    let mut facts = Facts::default();
    let functions: u64 = cold.statuses.values().sum();
    facts.row(
        "cold starts",
        &format!(
            "{functions} functions, node ready in {:.0} ms",
            cold.ready_ms
        ),
    );
    if let Some(latency) = &cold.latency {
        let [p50, p90, max] = [latency.p50_us, latency.p90_us, latency.max_us].map(time);
        facts.row("first answer", &format!("p50 {p50}, p90 {p90}, max {max}"));
    }
    if let Some(parts) = &cold.parts {
        facts.row("of that", &invocation_line(parts));
    }
    let mut text = format!("\n{}", facts.to_text());
    if let Some(latency) = &cold.latency {
        text.push_str(&plot(latency));
    }
    text
}

/// One line a bar, from quick to slow.
fn plot(latency: &Spectrum) -> String {
    let most = latency
        .bars
        .iter()
        .map(|bar| bar.count)
        .max()
        .unwrap_or(0)
        .max(1);
    let mut text = String::new();
    for bar in &latency.bars {
        // What was seen at all is to be seen here.
        let columns = (bar.count * BAR_COLUMNS).div_ceil(most);
        let part = 100.0 * number(bar.count) / number(latency.count.max(1));
        let mark = "#".repeat(usize::try_from(columns).unwrap_or(0));
        let below = bound(bar.below_us);
        let line = format!("  < {below:>6}  {part:>5.1} %  {mark}");
        writeln!(text, "{}", line.trim_end()).expect("a String takes all writes");
    }
    text
}

/// Figures of now against those of then.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut table = Table::new(["FIGURE", "BEFORE", "NOW", "RATIO", "NOISE", "VERDICT"]);
    for row in &comparison.rows {
        let noise = row.noise.map(|noise| format!("+-{:.0} %", noise * 100.0));
        table.row([
            row.figure.to_owned(),
            short(row.before),
            short(row.now),
            format!("{:.2}", row.ratio),
            noise.unwrap_or_default(),
            if row.worse { "worse" } else { "ok" }.to_owned(),
        ]);
    }
    let mut text = format!("\n{}", table.to_text(true));
    for differs in &comparison.differs {
        writeln!(text, "not the same: {differs}").expect("a String takes all writes");
    }
    text
}

/// Three figures that count.
fn short(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A time in the unit that suits it.
pub(super) fn time(us: f64) -> String {
    match us {
        _ if us >= 1e6 => format!("{} s", short(us / 1e6)),
        _ if us >= 1e3 => format!("{} ms", short(us / 1e3)),
        _ => format!("{} us", short(us)),
    }
}

/// The bound of a bar: a whole number.
fn bound(us: f64) -> String {
    match us {
        _ if us >= 1e6 => format!("{:.0} s", us / 1e6),
        _ if us >= 1e3 => format!("{:.0} ms", us / 1e3),
        _ => format!("{us:.0} us"),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::cmd::bench::report::tests::sample;

    #[test]
    fn figures_have_units_and_bars() {
        assert_snapshot!(report(&sample(&[])), @r"
        target      hello in hello.wasm
        request     GET /
        answers     1003 in all, 167/s
        statuses    200: 1000, 503: 3, closed: 1
        unsent      7, no connection was free
        cut         2 had no answer at the end
        latency     p50 2.52 ms, p90 8.13 ms, p99 9.83 ms, p99.9 10.0 ms, max 10.0 ms
        CPU         37.2 us a request, all processes; charged to the guest p50 2.52 ms
        invocation  queue p50 2.52 ms p99 9.83 ms, instantiate p50 2.52 ms p99 9.83 ms, run p50 2.52 ms p99 9.83 ms
        instance    memory p50 1MiB, max 3MiB
        node        60MiB before, 72MiB under load, all processes
        generator   25 % of one core

        latency
          <   1 us    0.9 %  ##
          <   2 us    0.5 %  #
          <   5 us    0.8 %  ##
          <  10 us    0.9 %  ##
          <  20 us    1.3 %  ##
          <  50 us    2.6 %  ####
          < 100 us    3.0 %  #####
          < 200 us    4.1 %  ######
          < 500 us    8.3 %  ############
          <   1 ms    9.3 %  #############
          <   2 ms   13.1 %  ###################
          <   5 ms   26.2 %  #####################################
          <  10 ms   29.0 %  ########################################

        cold starts   20 functions, node ready in 150 ms
        first answer  p50 2.52 ms, p90 8.13 ms, max 10.0 ms
          <   1 us    0.9 %  ##
          <   2 us    0.5 %  #
          <   5 us    0.8 %  ##
          <  10 us    0.9 %  ##
          <  20 us    1.3 %  ##
          <  50 us    2.6 %  ####
          < 100 us    3.0 %  #####
          < 200 us    4.1 %  ######
          < 500 us    8.3 %  ############
          <   1 ms    9.3 %  #############
          <   2 ms   13.1 %  ###################
          <   5 ms   26.2 %  #####################################
          <  10 ms   29.0 %  ########################################
        ");
    }

    #[test]
    fn a_comparison_is_a_table() {
        let before = sample(&[[100.0, 900.0, 50.0], [110.0, 990.0, 50.0]]);
        let mut now = sample(&[[150.0, 900.0, 50.0], [151.0, 990.0, 50.0]]);
        now.machine.kernel = "6.2.0".to_owned();
        let compared = Comparison::of(&before, &now, Some(0.1));
        assert_snapshot!(comparison(&compared), @r"
        FIGURE          BEFORE  NOW   RATIO  NOISE  VERDICT
        p50 us          110     151   1.37   +-5 %  worse
        p99 us          990     990   1.00   +-9 %  ok
        CPU us/request  50.0    50.0  1.00   +-0 %  ok
        requests/s      167     167   1.00   +-0 %  ok
        cold p50 us     2523    2523  1.00   -      ok
        instance MiB    1.00    1.00  1.00   -      ok
        node MiB        72.0    72.0  1.00   -      ok
        not the same: kernel: 6.1.0, now 6.2.0
        ");
    }
}
