//! How results of live runs look.

use std::fmt::Write as _;

use super::crowd::Storm;
use super::drain::Drain;
use super::hub::Transport;
use super::{arrival, group, idle, reports, storm};
use crate::openloop::Outcome;
use crate::stats::Spread;
use crate::table::{Table, micros, number};

/// Bytes of IPv4 and UDP around each datagram.
const HEADERS: f64 = 28.0;

fn kib(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

fn opening(out: &mut String, what: &str, storm: &Storm) {
    // Infallible, here and below: the sink is a String.
    let _ = writeln!(
        out,
        "{what}: {} sessions in {:.1} s ({}/s), each p50 {}, p99 {}; {} failed for good, {} attempts failed",
        storm.opened,
        storm.seconds,
        number(storm.opened as f64 / storm.seconds.max(f64::MIN_POSITIVE)),
        micros(storm.each.p50_us),
        micros(storm.each.p99_us),
        storm.failed,
        storm.failed_attempts,
    );
    if let Some(why) = &storm.first_failure {
        let _ = writeln!(out, "the first failed attempt: {why}");
    }
}

fn sending(out: &mut String, sends: &Outcome) {
    let _ = writeln!(
        out,
        "sends: {}/s of {}/s, {} failed; from the planned time p50 {}, p99 {}, p99.9 {}; late p99 {}",
        number(sends.achieved_rate),
        number(sends.plan.rate),
        sends.failed,
        micros(sends.response.p50_us),
        micros(sends.response.p99_us),
        micros(sends.response.p99_9_us),
        micros(sends.lateness.p99_us),
    );
    for why in [&sends.limited, &sends.first_failure].into_iter().flatten() {
        let _ = writeln!(out, "sends: {why}");
    }
}

fn ending(out: &mut String, lost: u64, first: Option<&String>, holes: u64) {
    let _ = writeln!(
        out,
        "{lost} sessions lost, {holes} holes or repetitions in logs"
    );
    if let Some(why) = first {
        let _ = writeln!(out, "the first loss: {why}");
    }
}

fn weight(table: &mut Table, name: &str, weight: &idle::Weight) {
    let last = weight.steps.last();
    table.row([
        name.to_owned(),
        last.map_or(0, |step| step.sessions).to_string(),
        kib(weight.bytes_each),
        kib(weight.slope),
        last.map_or(0, |step| step.memory.rss_kib / 1024)
            .to_string(),
        kib(weight.client_bytes_each),
    ]);
}

/// A run of [`idle`].
#[must_use]
pub fn idle(report: &idle::Report) -> String {
    let mut out = String::new();
    opening(&mut out, "opening", &report.storm);
    let mut table = Table::new([
        "memory of",
        "sessions",
        "each",
        "slope",
        "server, MiB",
        "client, each",
    ]);
    weight(&mut table, "waybill", &report.weight);
    if let Some(bare) = &report.bare {
        weight(&mut table, "quinn by itself", bare);
    }
    let _ = writeln!(out, "\n{}", table.markdown());
    if let Some(bare) = &report.bare {
        let ours = |of: fn(&idle::Weight) -> f64| kib(of(&report.weight) - of(bare));
        let _ = writeln!(
            out,
            "ours: {} each, by the slopes {}",
            ours(|weight| weight.bytes_each),
            ours(|weight| weight.slope)
        );
    }
    let waiting = &report.waiting;
    let _ = writeln!(
        out,
        "waiting for {:.0} s: server {:.2} s of CPU time, client {:.2} s; a session and minute: {} bytes from the server, {} to it, \
         {} datagrams ({} bytes with the headers of IPv4 and UDP)",
        waiting.seconds,
        waiting.server_cpu_seconds,
        waiting.client_cpu_seconds,
        number(waiting.received),
        number(waiting.sent),
        number(waiting.datagrams),
        number(waiting.received + waiting.sent + HEADERS * waiting.datagrams),
    );
    sending(&mut out, &report.sends);
    let arrived = &report.arrived;
    let _ = writeln!(
        out,
        "arrivals: {} of {}, {} came twice; from the request p50 {}, p99 {}; from the answer p50 {}, p99 {}",
        arrived.arrived,
        arrived.answered,
        arrived.repeated,
        micros(arrived.from_send.p50_us),
        micros(arrived.from_send.p99_us),
        micros(arrived.from_answer.p50_us),
        micros(arrived.from_answer.p99_us),
    );
    ending(
        &mut out,
        report.lost,
        report.first_loss.as_ref(),
        report.holes,
    );
    out
}

fn column(transport: Option<Transport>) -> &'static str {
    transport.map_or("nobody", Transport::name)
}

fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |spread| {
        format!(
            "{} ({} to {})",
            number(spread.median),
            number(spread.min),
            number(spread.max)
        )
    })
}

/// A run of [`arrival`].
#[must_use]
pub fn arrival(report: &arrival::Report) -> String {
    let mut table = Table::new([
        "sessions by",
        "round",
        "sends/s",
        "send p99",
        "arrived",
        "missing",
        "twice",
        "from request p50",
        "p99",
        "from answer p50",
        "p99",
        "before it",
        "server µs/msg",
        "bytes in",
        "out",
        "datagrams",
    ]);
    for turn in &report.turns {
        let arrived = &turn.arrived;
        let missing = if turn.transport.is_some() {
            arrived.missing
        } else {
            0
        };
        table.row([
            column(turn.transport).to_owned(),
            (turn.round + 1).to_string(),
            number(turn.sends.achieved_rate),
            micros(turn.sends.response.p99_us),
            arrived.arrived.to_string(),
            missing.to_string(),
            arrived.repeated.to_string(),
            micros(arrived.from_send.p50_us),
            micros(arrived.from_send.p99_us),
            micros(arrived.from_answer.p50_us),
            micros(arrived.from_answer.p99_us),
            arrived.before_answer.to_string(),
            number(turn.server_us),
            number(turn.received),
            number(turn.sent),
            number(turn.datagrams),
        ]);
    }
    let mut costs = Table::new([
        "delivery by",
        "own µs CPU/msg",
        "of the first",
        "with the send, of the first",
    ]);
    for delivery in &report.deliveries {
        costs.row([
            delivery.transport.name().to_owned(),
            spread(delivery.own_us),
            spread(delivery.own_of_first),
            spread(delivery.whole_of_first),
        ]);
    }
    let mut out = format!("{}\n{}", table.markdown(), costs.markdown());
    for turn in &report.turns {
        let name = column(turn.transport);
        let told = [
            &turn.storm.first_failure,
            &turn.first_loss,
            &turn.sends.limited,
            &turn.sends.first_failure,
        ];
        for why in told.into_iter().flatten() {
            let _ = writeln!(out, "{name}, round {}: {why}", turn.round + 1);
        }
    }
    let _ = writeln!(out, "{} holes or repetitions in logs", report.holes);
    out
}

/// A run of [`group`].
#[must_use]
pub fn group(report: &group::Report) -> String {
    let mut out = String::new();
    opening(&mut out, "opening", &report.storm);
    sending(&mut out, &report.sends);
    let arrived = &report.arrived;
    let _ = writeln!(
        out,
        "at the last of {} sessions: {} of {} messages, {} missing, {} came twice; from the request p50 {}, p99 {}, max {}; \
         from the answer p50 {}, p99 {}, max {}",
        report.storm.opened,
        arrived.arrived,
        arrived.answered,
        arrived.missing,
        arrived.repeated,
        micros(arrived.from_send.p50_us),
        micros(arrived.from_send.p99_us),
        micros(arrived.from_send.max_us),
        micros(arrived.from_answer.p50_us),
        micros(arrived.from_answer.p99_us),
        micros(arrived.from_answer.max_us),
    );
    ending(
        &mut out,
        report.lost,
        report.first_loss.as_ref(),
        report.holes,
    );
    out
}

/// A run of [`storm`].
#[must_use]
pub fn storm(report: &storm::Report) -> String {
    let mut out = String::new();
    opening(&mut out, "opening", &report.storm);
    opening(&mut out, "coming back", &report.back);
    let _ = writeln!(
        out,
        "all back {:.2} s after the drop, and up to date {:.2} s after it",
        report.all_back_seconds, report.caught_up_seconds
    );
    sending(&mut out, &report.sends);
    let arrived = &report.arrived;
    let _ = writeln!(
        out,
        "arrivals: {} of {}, {} missing, {} came twice; from the request p50 {}, max {}",
        arrived.arrived,
        arrived.answered,
        arrived.missing,
        arrived.repeated,
        micros(arrived.from_send.p50_us),
        micros(arrived.from_send.max_us),
    );
    ending(
        &mut out,
        report.lost,
        report.first_loss.as_ref(),
        report.holes,
    );
    out
}

/// A run of [`reports`].
#[must_use]
pub fn reports(report: &reports::Report) -> String {
    let mut out = String::new();
    let mut table = Table::new([
        "who reports",
        "messages/s",
        "p50",
        "p99",
        "server, s of CPU",
        "writer, s of CPU",
        "written to the disk, MB",
    ]);
    for (who, phase) in [("nobody", &report.silent), ("all", &report.reporting)] {
        let writer = phase.cost.threads.0.get("writer").copied();
        table.row([
            who.to_owned(),
            number(phase.sends.achieved_rate),
            micros(phase.sends.response.p50_us),
            micros(phase.sends.response.p99_us),
            number(phase.cost.server.cpu_seconds),
            number(writer.unwrap_or(0.0)),
            number(phase.cost.server.written_bytes as f64 / 1e6),
        ]);
    }
    let _ = writeln!(out, "{}", table.markdown());
    let _ = writeln!(
        out,
        "{} devices: {} reports/s, answered p50 {}, p99 {}; {} failed",
        report.devices,
        number(report.reports_per_second),
        micros(report.answered.p50_us),
        micros(report.answered.p99_us),
        report.failed,
    );
    let ledger = &report.ledger;
    let _ = writeln!(
        out,
        "ledger: {} bytes/s for reports, {:.1} % of its records; {} cursors in {} records (median {}, most {}), {} deliveries; \
         {:.2} bytes a cursor; if each device reported once an interval: {} bytes/s",
        number(report.bytes_per_second),
        ledger.bytes as f64 * 100.0 / ledger.bytes_of_all.max(1) as f64,
        ledger.cursors,
        ledger.records,
        ledger.median,
        ledger.most,
        ledger.passed,
        ledger.bytes_each(),
        number(report.bytes_per_second_of_all),
    );
    let _ = writeln!(
        out,
        "a report takes {:.1} µs of the server's CPU, {:.1} µs of them the writer's; {} devices have another cursor in the ledger \
         than they reported",
        report.server_us, report.writer_us, report.wrong,
    );
    let told = [&report.silent, &report.reporting].map(|phase| &phase.sends);
    let told = told
        .iter()
        .flat_map(|sends| [&sends.limited, &sends.first_failure]);
    for why in told.chain([&report.first_failure]).flatten() {
        let _ = writeln!(out, "{why}");
    }
    out
}

/// A run of [`drain`](super::drain).
#[must_use]
pub fn drain(drains: &[Drain]) -> String {
    let mut table = Table::new([
        "from",
        "by",
        "entries/s",
        "seconds",
        "server µs CPU/entry",
        "bytes read/entry",
    ]);
    for drain in drains {
        table.row([
            format!("{:?}", drain.from).to_lowercase(),
            format!("{:?}", drain.way).to_lowercase(),
            number(drain.rate),
            number(drain.seconds),
            number(drain.server_us),
            number(drain.read),
        ]);
    }
    table.markdown()
}
