//! SIGKILL at random moments, under load and while starting, many times in a row on one directory: whatever was answered or
//! shown is there after the restart, once, and a retry is answered with the first answer.

use std::sync::Arc;
use std::time::Duration;

use waybill_tests::dice::Dice;
use waybill_tests::harness::{
    Book, Load, Mix, PATIENCE, Server, Starting, dice, rounds, settle, verify,
};

/// Kills in a row unless `WAYBILL_KILLS` says otherwise.
const QUICK: u64 = 8;

/// Longest time under load before a kill, in milliseconds.
const LONGEST_MS: u64 = 350;

/// Longest time that a start is left alone before it is killed, in milliseconds: about as long as one takes.
const LONGEST_START_MS: u64 = 250;

/// Three configurations: views that are flushed all the time, now and then, and hardly ever. What a restart must apply again
/// differs with them.
const BUDGETS: [u64; 3] = [100, 2_000, 50_000];

fn config(dice: &mut Dice) -> String {
    format!(
        "[recovery]\nrecords = {}\n",
        BUDGETS[dice.up_to(2) as usize]
    )
}

fn random_moment(dice: &mut Dice, longest_ms: u64) {
    // Not for synchronisation: the moment of the kill is what is random.
    std::thread::sleep(Duration::from_micros(dice.up_to(longest_ms * 1_000)));
}

#[test]
fn killed_at_random_it_loses_nothing_and_doubles_nothing() {
    let mut dice = dice();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let book = Arc::new(Book::default());
    let rounds = rounds("WAYBILL_KILLS", QUICK);
    for round in 1..=rounds {
        let server = Server::start_with(&data, &config(&mut dice));
        settle(&server, &book, &mut dice);
        server.verify_beside(directory.path());
        let before = book.count();
        let load = Load::start(&server, &book, Mix::default());
        book.wait_for(before + 1, PATIENCE);
        random_moment(&mut dice, LONGEST_MS);
        server.kill();
        load.end();
        println!(
            "kill {round}: {} answered, {} not",
            book.count(),
            book.unanswered().len()
        );
        assert_eq!(
            book.refusals(),
            Vec::<String>::new(),
            "a killed server refuses nothing"
        );
        if dice.up_to(2) == 0 {
            let starting = Starting::spawn(&data, &config(&mut dice));
            random_moment(&mut dice, LONGEST_START_MS);
            starting.kill();
        }
        verify(&data, directory.path());
    }
    let server = Server::start(&data);
    settle(&server, &book, &mut dice);
    assert!(
        book.count() > 10 * rounds,
        "too little was under way for a test: {}",
        book.count()
    );
    server.stop();
    verify(&data, directory.path());
}
