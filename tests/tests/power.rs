//! Power cuts under load: the page cache is lost, of what was not synced nothing, a beginning or any sectors are left, and
//! still everything answered or shown is there. That this test can fail is shown by a server that skips the sync, and by a
//! disk that lies.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waybill_tests::dice::Dice;
use waybill_tests::faultfs::{Options, Sandbox, Survivors};
use waybill_tests::harness::{
    Book, Load, Mix, PATIENCE, Server, Starting, clean, dice, lost, rounds, settle, verify,
    verify_after_cut, waybill,
};

/// Power cuts in a row unless `WAYBILL_POWER_CUTS` says otherwise.
const QUICK: u64 = 5;

/// Longest time under load before a cut, in milliseconds.
const LONGEST_MS: u64 = 400;

/// Longest time that a start is left alone before the power goes, in milliseconds.
const LONGEST_START_MS: u64 = 300;

/// Longest time that a sync takes, in milliseconds, and it takes at least one: so that cuts fall into syncs, and leave torn batches.
const LONGEST_SYNC_MS: u64 = 8;

/// Views that are flushed all the time, and hardly ever.
const BUDGETS: [u64; 2] = [100, 50_000];

fn sandbox() -> Sandbox {
    Sandbox::new(&Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn config(dice: &mut Dice) -> String {
    format!(
        "[recovery]\nrecords = {}\n",
        BUDGETS[dice.up_to(1) as usize]
    )
}

fn random_moment(dice: &mut Dice, longest_ms: u64) {
    // Not for synchronisation: the moment of the cut is what is random.
    std::thread::sleep(Duration::from_micros(dice.up_to(longest_ms * 1_000)));
}

fn survivors(round: u64, dice: &mut Dice) -> Survivors {
    match round % 3 {
        0 => Survivors::Prefix { seed: dice.seed() },
        1 => Survivors::Nothing,
        _ => Survivors::Scatter { seed: dice.seed() },
    }
}

#[test]
fn nothing_answered_is_lost_when_the_power_fails() {
    let mut dice = dice();
    let sandbox = sandbox();
    let data = sandbox.path("data");
    let book = Arc::new(Book::default());
    let rounds = rounds("WAYBILL_POWER_CUTS", QUICK);
    let mut bytes_lost = 0;
    for round in 1..=rounds {
        let server = Server::start_with(&data, &config(&mut dice));
        settle(&server, &book, &mut dice);
        server.verify_beside(sandbox.outside());
        let before = book.count();
        let sync = Duration::from_millis(1 + dice.up_to(LONGEST_SYNC_MS - 1));
        sandbox.fs.set_sync_delay(sync);
        let load = Load::start(&server, &book, Mix::default());
        book.wait_for(before + 1, PATIENCE);
        random_moment(&mut dice, LONGEST_MS);
        // First the power, then the process: no answer can be younger than the cut.
        sandbox.fs.power_off();
        server.kill();
        load.end();
        sandbox.fs.set_sync_delay(Duration::ZERO);
        let survivors = survivors(round, &mut dice);
        let cut = sandbox.fs.power_on(survivors).unwrap();
        bytes_lost += cut.bytes_lost;
        println!(
            "cut {round}: {} answered, {survivors:?}, {cut:?}",
            book.count()
        );
        if dice.coin() {
            let starting = Starting::spawn(&data, &config(&mut dice));
            random_moment(&mut dice, LONGEST_START_MS);
            sandbox.fs.power_off();
            starting.kill();
            sandbox.fs.power_on(survivors).unwrap();
        }
        verify_after_cut(&data, sandbox.outside());
    }
    let server = Server::start(&data);
    settle(&server, &book, &mut dice);
    assert!(
        book.count() > 10 * rounds,
        "too little was under way for a test: {}",
        book.count()
    );
    assert!(
        bytes_lost > 0,
        "no cut has taken anything: then nothing was tested"
    );
    server.stop();
    verify(&data, sandbox.outside());
}

/// Cuts the power of a server under load; what of the answered messages is then not served any more.
fn what_a_cut_takes(sandbox: &Sandbox, server: Server, data: &Path) -> Vec<String> {
    let book = Arc::new(Book::default());
    let load = Load::start(&server, &book, Mix::default());
    book.wait_for(300, PATIENCE);
    sandbox.fs.power_off();
    server.kill();
    load.end();
    sandbox.fs.set_lying_syncs(false);
    sandbox.fs.power_on(Survivors::Nothing).unwrap();
    match Starting::spawn(data, "").ready() {
        Ok(server) => lost(&server, &book),
        Err(exited) => {
            assert_eq!(exited.code, Some(4), "{}", exited.stderr);
            vec![format!("not served at all: {}", exited.stderr)]
        }
    }
}

#[test]
fn a_server_that_skips_the_sync_loses_what_it_has_answered() {
    let sandbox = sandbox();
    let data = sandbox.path("data");
    // What is there before the load is made durable by the server itself, so that only the sends are at stake.
    Server::start(&data).stop();
    let unsynced = Starting::spawn_as(clean("waybill-unsynced"), &data, "");
    let server = unsynced
        .ready()
        .unwrap_or_else(|exited| panic!("{exited:#?}"));
    let lost = what_a_cut_takes(&sandbox, server, &data);
    assert!(
        !lost.is_empty(),
        "a server without syncs lost nothing: this test sees no loss"
    );

    // The same server with its syncs, on the same kind of disk.
    let data = sandbox.path("synced");
    Server::start(&data).stop();
    let synced = Starting::spawn_as(waybill(), &data, "");
    let server = synced
        .ready()
        .unwrap_or_else(|exited| panic!("{exited:#?}"));
    assert_eq!(
        what_a_cut_takes(&sandbox, server, &data),
        Vec::<String>::new()
    );
}

#[test]
fn on_a_disk_that_lies_messages_are_lost_and_that_is_seen() {
    let sandbox = sandbox();
    let data = sandbox.path("data");
    Server::start(&data).stop();
    let server = Server::start(&data);
    sandbox.fs.set_lying_syncs(true);
    let lost = what_a_cut_takes(&sandbox, server, &data);
    assert!(
        !lost.is_empty(),
        "a disk that syncs nothing lost nothing: this test sees no loss"
    );
}
