//! The rules against a naive model: after each of many random commands the answer, the records, the bodies, what was delivered
//! and every row must be what the model says.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::cast;
use support::chronicle::Chronicle;
use support::model::{Expected, Model};
use support::model_rows;
use support::plan::{commands, letter, plans};
use waybill_core::command::{Ask, Command, Stamped, Unknown};
use waybill_core::fact::Revoked;
use waybill_core::id::{DeviceNo, Seq, Time, UserNo};
use waybill_core::limits::{CHAIN_MARK_EVERY, MAX_DEVICES_PER_USER, MAX_ENDED, MAX_TIME_AHEAD_MS};
use waybill_core::outcome::{Outcome, Refusal};
use waybill_core::record::Surface;
use waybill_core::rules::{self, Step};
use waybill_core::state::{
    ConversationLogRow, DevicesRow, EntryKind, Family, Key, Numbered, Row, StateExt, TokenCutRow,
    TokenRow, UserLogRow, Value,
};

fn as_expected(step: &Step) -> Expected {
    Expected {
        answer: step.answer.clone(),
        records: step
            .records
            .iter()
            .map(|record| (record.bytes.clone(), record.body.clone()))
            .collect(),
        delivered: step.delivered.clone(),
        erased: step.erased.clone(),
        changed: step.changed.clone(),
    }
}

/// Whether each token is revoked, as readers find out, must be what the model says.
fn check_tokens(chronicle: &Chronicle, model: &Model) {
    for token in &model.tokens {
        let row: TokenRow = chronicle.state.row(token.hash).unwrap().unwrap();
        let cuts: TokenCutRow = chronicle.state.row(row.user).unwrap().unwrap_or_default();
        let revoked = row.revoked.is_some() || cuts.revokes(&row);
        assert_eq!(revoked, token.dead, "token issued at {}", token.position);
    }
}

/// What the design promises whatever the commands were, read from the model's ledger alone.
fn check_promises(steps: &[Step], chronicle: &Chronicle) {
    let mut position = 0;
    let mut heads = BTreeMap::new();
    for step in steps {
        for record in &step.records {
            position += 1;
            assert_eq!(record.position.0, position, "positions are dense");
        }
        for delivered in &step.delivered {
            let head = heads.entry(delivered.user).or_insert(0);
            *head += 1;
            if delivered.seq.0 != *head {
                let log = Numbered::User(delivered.user);
                let gap = rules::gap_around(&chronicle.state, log, *head).unwrap();
                let gap = gap.expect("a user's seqs are dense");
                assert_eq!((gap.first, gap.last() + 1), (*head, delivered.seq.0));
                *head = delivered.seq.0;
            }
        }
    }
    assert_eq!(position, chronicle.tail.position.0);
    for (user, head) in heads {
        let mut before = 0;
        for seq in 1..=head {
            let entry = rules::user_log_row(&chronicle.state, user, Seq(seq)).unwrap();
            let (least, skipped) = (before + 1, entry.kind == EntryKind::Skipped);
            assert!(
                entry.position.0 >= least - u64::from(skipped),
                "positions increase along a log"
            );
            before = entry.position.0;
            if !skipped {
                let found = rules::find_user_entry(&chronicle.state, user, entry.position);
                assert_eq!(found.unwrap(), Some((Seq(seq), entry)));
            }
        }
    }
}

/// The messages of each conversation stand in the order of the ledger, whoever sent them and however they came.
fn check_order(chronicle: &Chronicle) {
    let mut before: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for ((family, key), value) in &chronicle.state.rows {
        if *family != Family::ConversationLog {
            continue;
        }
        let row = ConversationLogRow::decode(value).unwrap();
        let message = row.message_position().0;
        let conversation = key.as_slice()[..17].to_vec();
        let earlier = before.insert(conversation, message).unwrap_or(0);
        assert!(
            earlier < message,
            "{message} comes after {earlier} in {key:?}"
        );
    }
}

fn check(commands: &[Stamped], every: usize) -> (Chronicle, Model) {
    let (mut chronicle, mut model) = (Chronicle::new(), Model::default());
    let mut steps = Vec::new();
    for (index, stamped) in commands.iter().enumerate() {
        let expected = model.take(stamped);
        let step = chronicle.take(std::slice::from_ref(stamped)).remove(0);
        assert_eq!(as_expected(&step), expected, "command {index}: {stamped:?}");
        steps.push(step);
        if index % every == 0 || index + 1 == commands.len() {
            let expected = model_rows::rows(&model);
            let differing = |(place, value): &(&(Family, Key), &Value)| {
                expected.get(place) != Some(value) || chronicle.state.rows.get(place) != Some(value)
            };
            let rows = chronicle.state.rows.iter().filter(differing);
            let missing = expected.iter().filter(differing);
            assert!(
                chronicle.state.rows == expected,
                "after command {index}: {stamped:?}\nrows are {:?}\nand should be {:?}",
                rows.collect::<Vec<_>>(),
                missing.collect::<Vec<_>>()
            );
            check_tokens(&chronicle, &model);
        }
    }
    check_promises(&steps, &chronicle);
    check_order(&chronicle);
    (chronicle, model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_rules_do_what_the_model_says(plan in plans(60)) {
        check(&commands(&plan), 1);
    }

    #[test]
    fn also_in_long_histories(plan in plans(400)) {
        check(&commands(&plan), 50);
    }
}

fn stamped(time: u64, ask: Ask) -> Stamped {
    Stamped {
        time: Time(time),
        command: Command {
            by: UserNo(0),
            surface: Surface::Server,
            ask,
        },
    }
}

fn found() -> Stamped {
    stamped(
        1_000_000,
        Ask::Found {
            epoch: cast::epoch(),
            rules: 1,
        },
    )
}

fn message(time: u64, number: u64) -> Stamped {
    stamped(time, letter(1, 2, number))
}

/// The model has these rules too; here they stand as numbers.
#[test]
fn shown_times_run_ahead_by_a_second_at_most() {
    let mut commands = vec![found()];
    // 1,200 messages while the clock stands still, 10 while it goes back, 10 a second and a half later.
    commands.extend((0..1_200).map(|number| message(2_000_000, number)));
    commands.extend((0..10).map(|number| message(1_500_000, 2_000 + number)));
    commands.extend((0..10).map(|number| message(2_001_500, 3_000 + number)));
    let (mut chronicle, mut times) = (Chronicle::new(), Vec::new());
    for step in chronicle.take_each(&commands) {
        if let Ok(Outcome::Sent(sent)) = step.answer {
            times.push(sent.time.0);
        }
    }
    let expected = (0..=u64::from(MAX_TIME_AHEAD_MS))
        .map(|ahead| 2_000_000 + ahead)
        .chain(std::iter::repeat_n(2_001_000, 209))
        .chain(2_001_500..2_001_510);
    assert_eq!(times, expected.collect::<Vec<_>>());
    // The model agrees, rows and chain marks included.
    let (chronicle, _) = check(&commands, 400);
    let entry =
        |seq| -> UserLogRow { chronicle.state.row((UserNo(2), Seq(seq))).unwrap().unwrap() };
    assert!(entry(CHAIN_MARK_EVERY).mark.is_some());
    assert!(entry(CHAIN_MARK_EVERY + 1).mark.is_none());
    assert_eq!(entry(1_200).ahead_ms, MAX_TIME_AHEAD_MS);
}

#[test]
fn a_time_at_the_end_of_all_times_is_taken() {
    let mut commands = vec![found()];
    commands.extend((0..3).map(|number| message(u64::MAX, number)));
    let mut chronicle = Chronicle::new();
    for step in chronicle.take_each(&commands) {
        assert!(step.answer.is_ok());
    }
    assert_eq!(chronicle.tail.time, Time(u64::MAX));
}

#[test]
fn the_quietest_device_makes_room() {
    let see = |index: u8| Ask::SeeDevice {
        user: UserNo(2),
        id: cast::device(index),
        platform: 1,
        body: waybill_core::body::Body::Device {
            id: cast::device_id(index),
        }
        .seal(cast::opening(u64::from(index), 9)),
    };
    let most = MAX_DEVICES_PER_USER as u8;
    let mut commands = vec![found(), message(2_000_000, 1)];
    commands.extend((0..most).map(|index| stamped(2_000_000, see(index))));
    // Device 1 speaks, so device 2 is the quietest when one more comes; when it comes back, device 3 goes.
    commands.push(stamped(
        2_000_000,
        Ask::Reach {
            cursors: vec![(UserNo(2), DeviceNo(1), Seq(1))],
        },
    ));
    commands.push(stamped(2_000_000, see(most)));
    commands.push(stamped(2_000_000, see(1)));
    let (chronicle, _) = check(&commands, 1);
    let row: DevicesRow = chronicle.state.row(UserNo(2)).unwrap().unwrap();
    let numbers: Vec<u32> = row.devices.iter().map(|known| known.device.0).collect();
    let expected = std::iter::once(1).chain(4..=u32::from(most) + 2);
    assert_eq!(numbers, expected.collect::<Vec<_>>());
}

/// A token's text names one user: asking for it in another's name is refused, and nobody becomes known by it.
#[test]
fn a_token_belongs_to_one_user() {
    let issue = |user, number, unknown| {
        stamped(
            2_000_000,
            Ask::IssueToken {
                user: cast::user(user, number, 0),
                unknown,
                platform: 5,
                token: cast::token(1),
                expires: Time(3_000_000),
                ends: Vec::new(),
            },
        )
    };
    let revoke = stamped(
        2_000_000,
        Ask::RevokeTokens {
            user: UserNo(1),
            which: Revoked::All,
        },
    );
    let commands = [
        found(),
        issue(1, 1, Unknown::Refuse),
        issue(1, 2, Unknown::See),
        issue(1, 3, Unknown::Refuse),
        issue(2, 4, Unknown::See),
        revoke,
        issue(1, 5, Unknown::See),
    ];
    let mut chronicle = Chronicle::new();
    let answers: Vec<_> = chronicle
        .take_each(&commands)
        .into_iter()
        .map(|step| step.answer)
        .collect();
    let user = |new| {
        Ok(Outcome::User {
            user: UserNo(1),
            new,
        })
    };
    let expected = [
        Ok(Outcome::Done),
        Err(Refusal::UnknownUser),
        user(true),
        user(false),
        Err(Refusal::KeyReused),
        Ok(Outcome::Done),
        user(false),
    ];
    assert_eq!(answers, expected);
    check(&commands, 1);
}

/// A login ends earlier tokens with the record before its own, or not at all.
#[test]
fn a_login_ends_earlier_ones_at_once_or_not_at_all() {
    let issue = |user, number, token, ends| {
        stamped(
            2_000_000,
            Ask::IssueToken {
                user: cast::user(user, number, 0),
                unknown: Unknown::See,
                platform: 5,
                token: cast::token(token),
                expires: Time(3_000_000),
                ends,
            },
        )
    };
    let all = || vec![Revoked::All];
    let commands = [
        found(),
        issue(1, 1, 1, all()),
        issue(2, 2, 2, all()),
        issue(1, 3, 3, all()),
        // Asked twice; with a token of another user; with too many.
        issue(1, 4, 3, all()),
        issue(1, 5, 2, all()),
        issue(1, 6, 4, vec![Revoked::All; MAX_ENDED + 1]),
        issue(1, 7, 5, vec![Revoked::Platform(4), Revoked::Platform(5)]),
    ];
    let mut chronicle = Chronicle::new();
    let steps = chronicle.take_each(&commands);
    let records = steps.iter().map(|step| step.records.len());
    assert_eq!(records.collect::<Vec<_>>(), [1, 2, 2, 2, 0, 0, 0, 3]);
    assert_eq!(steps[5].answer, Err(Refusal::KeyReused));
    assert_eq!(steps[6].answer, Err(Refusal::TooLarge));
    let stands = |token| {
        let row: TokenRow = chronicle.state.row(cast::token(token)).unwrap().unwrap();
        let cuts = chronicle.state.row::<TokenCutRow>(row.user).unwrap();
        !cuts.unwrap_or_default().revokes(&row)
    };
    assert_eq!([1, 2, 3, 5].map(stands), [false, true, false, true]);
    check(&commands, 1);
}

/// A founding that names rules which this program does not have begins nothing.
#[test]
fn unknown_rules_found_nothing() {
    for rules in [0, 2, u32::MAX] {
        let ask = Ask::Found {
            epoch: cast::epoch(),
            rules,
        };
        let mut chronicle = Chronicle::new();
        let steps = chronicle.take(&[stamped(1, ask), message(1, 1)]);
        assert_eq!(steps[0].answer, Err(Refusal::BadRules));
        assert_eq!(steps[1].answer, Err(Refusal::NotFounded));
        assert!(chronicle.state.rows.is_empty() && chronicle.state.records.is_empty());
    }
}
