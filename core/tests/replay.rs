//! A ledger folded again gives the same views: from its beginning, in other batches, without the bodies that were erased, and
//! from wherever a crash has left the store.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::cast;
use support::chronicle::Chronicle;
use support::plan::{commands, plans};
use waybill_core::body;
use waybill_core::codec;
use waybill_core::command::{Ask, Command, Stamped};
use waybill_core::fact::Fact;
use waybill_core::id::{Position, Time, UserNo};
use waybill_core::outcome::{Outcome, Refusal, StateError};
use waybill_core::record::{Record, Surface};
use waybill_core::rules::{self, Step, Tail};
use waybill_core::state::{
    Contents, DeviceNameRow, Effect, FAMILIES, Family, Key, MapState, Overlay, ProfileRow,
    StateExt, UserRow, Value, Writing,
};

fn erase(position: u64) -> Stamped {
    Stamped {
        time: Time(1_700_000_100_000),
        command: Command {
            by: UserNo(0),
            surface: Surface::Server,
            ask: Ask::Erase {
                position: Position(position),
            },
        },
    }
}

fn lived(commands: &[Stamped]) -> Chronicle {
    let mut chronicle = Chronicle::new();
    chronicle.take_each(commands);
    chronicle
}

fn refolded(chronicle: &Chronicle, cuts: &[u64]) -> MapState {
    let mut state = MapState::default();
    chronicle.fold_into(&mut state, 1, cuts);
    state
}

/// No joined row without the body it is from, and no body without its row or a later one's. Returns how many rows there are.
fn check_joined(chronicle: &Chronicle) -> usize {
    let state = &chronicle.state;
    let mut rows = 0;
    for position in 1..=chronicle.tail.position.0 {
        let fact = chronicle.record(position).fact;
        let row = match fact {
            Fact::UserSeen { user, .. } => {
                let row: Option<UserRow> = state.row(user).unwrap();
                row.map(|row| (row.position.0, body::Body::User { id: row.id }))
            }
            Fact::UserRegistered { user }
            | Fact::UserUpdated { user }
            | Fact::UserRegisteredAgain { user, .. } => {
                let row: Option<ProfileRow> = state.row(user).unwrap();
                row.map(|row| (row.position.0, body::Body::Profile(row.profile)))
            }
            Fact::DeviceSeen { user, device, .. } => {
                let row: Option<DeviceNameRow> = state.row((user, device)).unwrap();
                row.map(|row| (row.position.0, body::Body::Device { id: row.id }))
            }
            _ => continue,
        };
        let stored = chronicle.bodies.get(&position);
        assert!(
            stored.is_none() || row.as_ref().is_some_and(|(by, _)| *by >= position),
            "the body of record {position} has no row"
        );
        if let Some((by, said)) = row.filter(|(by, _)| *by == position) {
            rows += 1;
            let stored = stored.unwrap_or_else(|| panic!("a row is from the erased body of {by}"));
            assert_eq!(body::decode_stored(stored).unwrap(), said);
        }
    }
    assert_eq!(state.joined().len(), rows, "a joined row is from no record");
    rows
}

/// What a store may come back with after a crash, by batches: updated families as of `flushed`; of appended families each as of
/// its own later position, changes to rows that were there before (`changes`) included or not.
fn crashed(
    batches: &[(u64, Vec<Effect>)],
    flushed: u64,
    appended: &dyn Fn(Family) -> u64,
    changes: bool,
) -> MapState {
    let mut state = MapState::default();
    for (end, made) in batches {
        let kept = made.iter().filter(|effect| {
            let (family, _) = effect.place();
            let append = matches!(effect, Effect::Append(..));
            let straight = append || (changes && family.info().writing == Writing::Appended);
            *end <= flushed || (straight && *end <= appended(family))
        });
        state.apply(kept.cloned());
    }
    state
}

/// Rows that differ, for messages.
fn differences(
    one: &MapState,
    other: &MapState,
) -> BTreeMap<(Family, Key), (Option<Value>, Option<Value>)> {
    let keys: BTreeSet<_> = one.rows.keys().chain(other.rows.keys()).collect();
    keys.into_iter()
        .filter(|key| one.rows.get(key) != other.rows.get(key))
        .map(|key| {
            let rows = (one.rows.get(key).cloned(), other.rows.get(key).cloned());
            (*key, rows)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn batches_do_not_matter(plan in plans(80), cuts in prop::collection::vec(any::<Index>(), 0..12)) {
        let commands = commands(&plan);
        let (mut single, mut batched) = (Chronicle::new(), Chronicle::new());
        let expected = single.take_each(&commands);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(commands.len())).collect();
        cuts.sort_unstable();
        let (mut steps, mut from): (Vec<Step>, usize) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([commands.len()]) {
            steps.extend(batched.take(&commands[from..cut]));
            from = cut;
        }
        prop_assert_eq!(steps, expected);
        prop_assert_eq!(&batched.state.records, &single.state.records);
        prop_assert_eq!(&batched.bodies, &single.bodies);
        prop_assert!(batched.state == single.state, "{:?}", differences(&batched.state, &single.state));
        prop_assert_eq!(batched.state.state_hash(), single.state.state_hash());
        prop_assert_eq!(batched.tail, single.tail);
    }

    #[test]
    fn a_fold_gives_the_live_views(plan in plans(80), cuts in prop::collection::vec(0..200_u64, 0..5)) {
        let live = lived(&commands(&plan));
        let mut cuts = cuts;
        cuts.sort_unstable();
        let folded = refolded(&live, &cuts);
        prop_assert!(folded == live.state, "{:?}", differences(&folded, &live.state));
        prop_assert_eq!(folded.state_hash(), live.state.state_hash());
        check_joined(&live);
    }

    #[test]
    fn a_fold_without_erased_bodies_gives_the_live_views(
        plan in plans(80),
        erased in subsequence((1..150_u64).collect::<Vec<_>>(), 0..100),
    ) {
        let mut live = lived(&commands(&plan));
        let hash_before = (live.tail, live.state.state_hash());
        let commands: Vec<Stamped> = erased.iter().map(|position| erase(*position)).collect();
        let steps = live.take_each(&commands);
        for (position, step) in erased.iter().zip(steps) {
            let had_body = live.all_bodies.contains_key(position);
            let expected = if had_body { Ok(Outcome::Done) } else { Err(Refusal::NothingToErase) };
            let expected = if live.tail == Tail::EMPTY { Err(Refusal::NotFounded) } else { expected };
            prop_assert_eq!(step.answer, expected);
            prop_assert!(!live.bodies.contains_key(position));
        }
        check_joined(&live);
        let folded = refolded(&live, &[]);
        prop_assert!(folded == live.state, "{:?}", differences(&folded, &live.state));
        // The fold with all bodies ends the same: it sees the erasures.
        let mut whole = live.clone();
        whole.bodies = live.all_bodies.clone();
        let folded = refolded(&whole, &[]);
        prop_assert!(folded == live.state, "{:?}", differences(&folded, &live.state));
        // Nor does an earlier moment, folded now, show anything of what was erased since.
        for moment in 0..=live.tail.position.0 / 10 {
            for (family, key, value) in live.as_of(moment * 10).joined() {
                let (by, _) = codec::decode_prefix::<Position>(&value).unwrap();
                prop_assert!(live.bodies.contains_key(&by.0), "{family} {key:?} is from record {by}");
            }
        }
        // The state hash covers that something was erased, though not what it was.
        let hash_after = (live.tail, live.state.state_hash());
        prop_assert_eq!(hash_after.1 == hash_before.1, hash_after.0 == hash_before.0);
    }

    #[test]
    fn recovery_ends_where_the_crash_began(
        plan in plans(80),
        cuts in subsequence((1..150_u64).collect::<Vec<_>>(), 0..150),
        flushed in any::<Index>(),
        appended in prop::collection::vec(any::<Index>(), FAMILIES.len()),
        changes in any::<bool>(),
        together in any::<bool>(),
    ) {
        let live = lived(&commands(&plan));
        let last = live.tail.position.0;
        let cuts: Vec<u64> = cuts.into_iter().filter(|cut| *cut < last).collect();
        let batches = live.effects(&cuts);
        // Nothing, or the end of a batch.
        let flushed = flushed.index(batches.len() + 1).checked_sub(1).map_or(0, |at| batches[at].0);
        let later = |index: &Index| flushed + index.index((last - flushed) as usize + 1) as u64;
        let appended = |family: Family| later(&appended[if together { 0 } else { family.index() }]);
        let mut state = crashed(&batches, flushed, &appended, changes);
        state.records = live.state.records.clone();
        live.fold_into(&mut state, flushed + 1, &[]);
        prop_assert!(
            state.rows == live.state.rows,
            "flushed at {flushed} of {last}: {:?}",
            differences(&state, &live.state)
        );
    }

    #[test]
    fn recovery_may_find_everything_appended_and_nothing_updated(plan in plans(40)) {
        let live = lived(&commands(&plan));
        let last = live.tail.position.0;
        // Nothing was flushed but everything appended, erasures and all.
        let mut state = crashed(&live.effects(&[]), 0, &|_| last, true);
        state.records = live.state.records.clone();
        live.fold_into(&mut state, 1, &[]);
        prop_assert!(state.rows == live.state.rows, "{:?}", differences(&state, &live.state));
    }
}

/// The properties above would say little if plans met nothing: over a fixed set of plans, everything happens.
#[test]
fn plans_meet_everything() {
    let mut runner = TestRunner::deterministic();
    let strategy = plans(120);
    let mut met: BTreeMap<&'static str, usize> = BTreeMap::new();
    for _ in 0..700 {
        let plan = strategy.new_tree(&mut runner).unwrap().current();
        let mut chronicle = Chronicle::new();
        for step in chronicle.take_each(&commands(&plan)) {
            *met.entry(answer_name(&step)).or_default() += 1;
            for erased in &step.erased {
                let name = match chronicle.record(erased.0).fact {
                    Fact::UserSeen { .. } => "erased an id",
                    Fact::UserRegistered { .. } => "erased a profile",
                    Fact::UserUpdated { .. } | Fact::UserRegisteredAgain { .. } => {
                        "erased an updated profile"
                    }
                    Fact::DeviceSeen { .. } => "erased a device's id",
                    _ => "erased a message",
                };
                *met.entry(name).or_default() += 1;
            }
        }
        for (family, _) in chronicle.state.rows.keys() {
            *met.entry(family.name()).or_default() += 1;
        }
        for bytes in chronicle
            .state
            .rows
            .iter()
            .filter(|((family, _), _)| *family == Family::Devices)
        {
            let row: waybill_core::state::DevicesRow =
                waybill_core::codec::decode(bytes.1).unwrap();
            if row.last.0 as usize > row.devices.len() {
                *met.entry("made room for a device").or_default() += 1;
            }
        }
    }
    let names = [
        "done",
        "sent",
        "sent again",
        "user",
        "device",
        "KeyReused",
        "UnknownReceiver",
        "UnknownUser",
        "AlreadyRegistered",
        "NothingToErase",
        "AlreadyFounded",
        "NotFounded",
        "BadRules",
        "erased an id",
        "erased a profile",
        "erased an updated profile",
        "erased a device's id",
        "erased a message",
        "made room for a device",
        "posted",
        "begun",
        "audience",
        "filled",
        "progress",
        "read",
        "recalled",
        "AudienceState",
        "BadSetting",
        "BeyondConversation",
        "BeyondLog",
        "Withdrawn",
        "NamedTwice",
        "marked",
        "Stale",
        "UnknownAudience",
        "UnknownConversation",
        "UnknownMessage",
        "BadEpoch",
    ];
    // Plans make no messages with terms, and change none.
    let others = [Family::Timers, Family::Collapses, Family::Changes];
    let families = FAMILIES
        .iter()
        .filter(|info| !others.contains(&info.family));
    for name in names.into_iter().chain(families.map(|info| info.name)) {
        assert!(
            met.get(name).is_some_and(|times| *times >= 10),
            "{name} is rare: {met:?}"
        );
    }
}

fn answer_name(step: &Step) -> &'static str {
    match &step.answer {
        Ok(Outcome::Done) => "done",
        Ok(Outcome::Sent(sent)) if sent.repeated => "sent again",
        Ok(Outcome::Sent(_)) => "sent",
        Ok(Outcome::User { .. }) => "user",
        Ok(Outcome::Device { .. }) => "device",
        Ok(Outcome::Posted(_)) => "posted",
        Ok(Outcome::Read { .. }) => "read",
        Ok(Outcome::Recalled { .. }) => "recalled",
        Ok(Outcome::Begun { .. }) => "begun",
        Ok(Outcome::Audience { .. }) => "audience",
        Ok(Outcome::Filled { .. }) => "filled",
        Ok(Outcome::Progress { .. }) => "progress",
        Ok(Outcome::Changed { .. }) => "changed",
        Ok(Outcome::ReachedPartly) => "reached partly",
        Ok(Outcome::Marked { .. }) => "marked",
        Err(Refusal::KeyReused) => "KeyReused",
        Err(Refusal::UnknownReceiver) => "UnknownReceiver",
        Err(Refusal::UnknownUser) => "UnknownUser",
        Err(Refusal::AlreadyRegistered) => "AlreadyRegistered",
        Err(Refusal::NothingToErase) => "NothingToErase",
        Err(Refusal::AlreadyFounded) => "AlreadyFounded",
        Err(Refusal::NotFounded) => "NotFounded",
        Err(Refusal::BadRules) => "BadRules",
        Err(Refusal::TooLarge) => "TooLarge",
        Err(Refusal::BadBody) => "BadBody",
        Err(Refusal::UnknownConversation) => "UnknownConversation",
        Err(Refusal::BeyondConversation) => "BeyondConversation",
        Err(Refusal::UnknownMessage) => "UnknownMessage",
        Err(Refusal::BadSetting) => "BadSetting",
        Err(Refusal::NamedTwice) => "NamedTwice",
        Err(Refusal::UnknownAudience) => "UnknownAudience",
        Err(Refusal::AudienceState) => "AudienceState",
        Err(Refusal::Underway) => "Underway",
        Err(Refusal::Stale) => "Stale",
        Err(Refusal::TooManyRunning) => "TooManyRunning",
        Err(Refusal::BeyondLog) => "BeyondLog",
        Err(Refusal::Expired) => "Expired",
        Err(Refusal::TooFarAhead) => "TooFarAhead",
        Err(Refusal::Withdrawn) => "Withdrawn",
        Err(Refusal::BadEpoch) => "BadEpoch",
    }
}

#[test]
fn the_state_hash_covers_folded_rows_and_no_others() {
    let mut runner = TestRunner::deterministic();
    let plan = plans(200).new_tree(&mut runner).unwrap().current();
    let live = lived(&commands(&plan));
    let hash = live.state.state_hash();
    for (place, value) in &live.state.rows {
        let mut changed = live.state.clone();
        let mut other = value.clone();
        other[0] ^= 1;
        changed.rows.insert(*place, other);
        let mut removed = live.state.clone();
        removed.rows.remove(place);
        let folded = place.0.info().contents == Contents::Folded;
        assert_eq!(changed.state_hash() != hash, folded, "{place:?} changed");
        assert_eq!(removed.state_hash() != hash, folded, "{place:?} removed");
    }
}

/// A record that cannot follow is refused, and says where.
#[test]
fn a_fold_refuses_what_cannot_follow() {
    let genesis = Fact::Genesis {
        epoch: cast::epoch(),
        rules: 1,
    };
    let policy = Fact::PolicyChanged(waybill_core::policy::Policy::default());
    let erasure = Fact::BodyErased {
        position: Position(7),
    };
    let cases = [
        // (position, time, fact, tail position, whether a genesis came before)
        (1, 10, genesis.clone(), 0, false, None),
        (
            1,
            10,
            policy.clone(),
            0,
            false,
            Some("a ledger begins with one genesis, and only there"),
        ),
        (
            2,
            10,
            genesis.clone(),
            1,
            true,
            Some("a ledger begins with one genesis, and only there"),
        ),
        (2, 10, policy.clone(), 1, true, None),
        (
            2,
            9,
            policy.clone(),
            1,
            true,
            Some("it is older than the record before it"),
        ),
        (
            3,
            10,
            policy,
            1,
            true,
            Some("the position before it is missing"),
        ),
        (
            2,
            10,
            erasure,
            1,
            true,
            Some("it erases a body that no earlier record has"),
        ),
    ];
    for (position, time, fact, before, founded, expected) in cases {
        let mut state = MapState::default();
        let mut tail = Tail::EMPTY;
        let mut fold = |record: &Record, tail: &mut Tail| {
            let mut overlay = Overlay::new(&state);
            let bytes = record.encode().unwrap();
            let result = rules::fold(&mut overlay, tail, record, &bytes, None);
            let effects = overlay.take_effects();
            drop(overlay);
            state.apply(effects);
            result
        };
        let record = |position, time, fact| {
            let (position, time) = (Position(position), Time(time));
            Record::new(position, time, UserNo(0), Surface::Server, fact, None)
        };
        if founded {
            fold(&record(1, 10, genesis.clone()), &mut tail).unwrap();
        }
        assert_eq!(tail.position.0, before);
        let tail_before = tail;
        match (fold(&record(position, time, fact), &mut tail), expected) {
            (Ok(_), None) => assert_eq!(tail.position.0, position),
            (
                Err(StateError::Impossible {
                    position: at,
                    reason,
                }),
                Some(expected),
            ) => {
                assert_eq!((at.0, reason), (position, expected));
                assert_eq!(tail, tail_before);
            }
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        }
    }
}

/// A newer program has put rules in force that this one does not have: it says so, and changes nothing.
#[test]
fn a_ledger_under_newer_rules_is_refused_by_name() {
    let mut state = MapState::default();
    let mut tail = Tail::EMPTY;
    let record = |position, fact| {
        Record::new(
            Position(position),
            Time(10),
            UserNo(0),
            Surface::Server,
            fact,
            None,
        )
    };
    let genesis = Fact::Genesis {
        epoch: cast::epoch(),
        rules: 1,
    };
    for record in [
        record(1, genesis),
        record(2, Fact::RulesChanged { rules: 9 }),
    ] {
        assert_eq!(rules::check_in_force(&state, &tail).ok(), Some(()));
        let mut overlay = Overlay::new(&state);
        let bytes = record.encode().unwrap();
        rules::fold(&mut overlay, &mut tail, &record, &bytes, None).unwrap();
        let effects = overlay.take_effects();
        state.apply(effects);
    }
    let refused = |error| match error {
        StateError::UnknownRules {
            position,
            found,
            known,
        } => assert_eq!((position, found, known), (Position(3), 9, 1)),
        other => panic!("{other:?}"),
    };
    refused(rules::check_in_force(&state, &tail).unwrap_err());
    let before = (state.clone(), tail);
    let mut overlay = Overlay::new(&state);
    let born_so = record(
        1,
        Fact::Genesis {
            epoch: cast::epoch(),
            rules: 2,
        },
    );
    let bytes = born_so.encode().unwrap();
    let mut none = Tail::EMPTY;
    let error = rules::fold(&mut overlay, &mut none, &born_so, &bytes, None);
    assert!(
        matches!(error, Err(StateError::UnknownRules { found: 2, .. })),
        "{error:?}"
    );
    let mut overlay = Overlay::new(&state);
    let next = record(3, Fact::RulesChanged { rules: 10 });
    let bytes = next.encode().unwrap();
    refused(rules::fold(&mut overlay, &mut tail, &next, &bytes, None).unwrap_err());
    let command = Command {
        by: UserNo(0),
        surface: Surface::Server,
        ask: Ask::ChangeRules { rules: 10 },
    };
    let stamped = Stamped {
        time: Time(11),
        command,
    };
    let mut overlay = Overlay::new(&state);
    refused(rules::take(&mut overlay, &mut tail, &stamped).unwrap_err());
    drop(overlay);
    assert_eq!((state, tail), before);
}
