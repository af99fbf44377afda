use proptest::prelude::*;

use super::*;

const WINDOW: Window = Window {
    bytes: 100,
    page: 40,
    tails: 2,
    pulls: 2,
};

fn at(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

fn machine() -> Machine<&'static str> {
    Machine::new(WINDOW, Timing::default(), at(0))
}

fn tail(head: u64) -> Job {
    Job::Tail { head: Seq(head) }
}

fn took(bytes: usize, last: u64, head: u64) -> Took<&'static str> {
    Took {
        page: "page",
        bytes,
        last: (last > 0).then_some(Seq(last)),
        head: Seq(head),
    }
}

/// The read that is wished.
fn reads<P: std::fmt::Debug>(machine: &mut Machine<P>) -> (u64, u64) {
    match machine.next(at(0)) {
        Some(Wish::Read(read)) => (read.request, read.after.0),
        other => panic!("{other:?}"),
    }
}

fn writes<P: std::fmt::Debug>(machine: &mut Machine<P>) -> usize {
    match machine.next(at(0)) {
        Some(Wish::Write { bytes, .. }) => bytes,
        other => panic!("{other:?}"),
    }
}

fn rests<P: std::fmt::Debug>(machine: &mut Machine<P>) -> bool {
    machine.next(at(0)).is_none()
}

#[test]
fn a_tail_reads_to_the_end_and_then_waits_for_growth() {
    let mut machine = machine();
    machine.ask(1, Seq(3), tail(5)).unwrap();
    assert_eq!(reads(&mut machine), (1, 3));
    assert!(rests(&mut machine), "one read at a time");
    machine.took(1, took(10, 4, 5));
    assert_eq!(writes(&mut machine), 10);
    assert_eq!(reads(&mut machine), (1, 4), "it is behind");
    machine.took(1, took(10, 5, 5));
    assert_eq!(writes(&mut machine), 10);
    assert!(rests(&mut machine), "it has caught up");
    machine.grown(1, Seq(6));
    assert_eq!(reads(&mut machine), (1, 5));
    machine.grown(1, Seq(4));
    machine.took(1, took(10, 6, 6));
    assert_eq!(writes(&mut machine), 10);
    assert!(
        rests(&mut machine),
        "a head does not fall, and grows for one read once"
    );
}

#[test]
fn growth_between_a_read_and_its_page_is_not_missed() {
    let mut machine = machine();
    machine.ask(1, Seq(0), tail(1)).unwrap();
    assert_eq!(reads(&mut machine), (1, 0));
    machine.grown(1, Seq(2));
    machine.took(1, took(0, 0, 0));
    assert_eq!(reads(&mut machine), (1, 0), "an empty page is not written");
    machine.took(1, took(1, 2, 2));
    assert_eq!(writes(&mut machine), 1);
    assert!(rests(&mut machine));
}

#[test]
fn nothing_is_read_or_written_that_the_peer_has_no_room_for() {
    let mut machine = machine();
    machine.ask(1, Seq(0), tail(9)).unwrap();
    for (last, bytes) in [(1, 40), (2, 40)] {
        reads(&mut machine);
        machine.took(1, took(bytes, last, 9));
        assert_eq!(writes(&mut machine), bytes);
    }
    assert!(rests(&mut machine), "20 are left, and a page may have 40");
    machine.room(30, at(0));
    assert_eq!(reads(&mut machine), (1, 2));
    machine.took(1, took(60, 3, 9));
    assert!(rests(&mut machine), "60 do not fit into 50");
    assert!(machine.has_room());
    machine.room(10, at(0));
    assert_eq!(writes(&mut machine), 60);
    assert!(!machine.has_room());
    machine.room(100, at(0));
    reads(&mut machine);
    machine.took(1, took(1_000, 4, 9));
    assert_eq!(
        writes(&mut machine),
        1_000,
        "what is larger than the window goes alone"
    );
    machine.room(999, at(0));
    assert_eq!(reads(&mut machine), (1, 4));
    machine.took(1, took(1_000, 5, 9));
    assert!(rests(&mut machine), "and only when all else was taken");
}

#[test]
fn requests_take_turns_and_are_bounded() {
    let mut machine = machine();
    machine.ask(1, Seq(0), tail(9)).unwrap();
    machine.ask(2, Seq(5), tail(9)).unwrap();
    assert_eq!(machine.ask(3, Seq(0), tail(9)), Err(Refused::Tails));
    let pull = Job::Pull { limit: 7 };
    machine.ask(3, Seq(0), pull).unwrap();
    machine.ask(4, Seq(0), pull).unwrap();
    assert_eq!(machine.ask(5, Seq(0), pull), Err(Refused::Pulls));
    assert_eq!(machine.ask(4, Seq(0), tail(9)), Err(Refused::Repeated));
    let mut order = Vec::new();
    for last in 1..=6 {
        let (request, after) = reads(&mut machine);
        order.push(request);
        machine.took(request, took(1, after + 1, 9));
        assert_eq!(writes(&mut machine), 1);
        let _ = last;
    }
    assert_eq!(order, [1, 2, 3, 4, 1, 2], "pulls are answered once");
    assert_eq!(machine.jobs(), 2);
    assert!(machine.drop_job(1) && !machine.drop_job(1));
    assert_eq!(reads(&mut machine), (2, 7));
    assert!(machine.drop_job(2));
    machine.took(2, took(1, 8, 9));
    assert!(rests(&mut machine), "the page of a dropped request is none");
    machine.ask(2, Seq(0), pull).unwrap();
    reads(&mut machine);
    machine.took(2, took(3, 0, 0));
    assert_eq!(writes(&mut machine), 3, "an empty page answers a pull");
}

#[test]
fn a_word_of_a_device_is_taken_when_it_is_news_and_within_the_log() {
    let mut machine = machine();
    assert_eq!(
        machine.acknowledge(Seq(5), Seq(9)),
        Acknowledgement::Report(Seq(5)),
        "also beyond what was sent here"
    );
    machine.reached(Seq(6));
    machine.reached(Seq(5));
    assert_eq!(
        machine.acknowledge(Seq(6), Seq(9)),
        Acknowledgement::Stays(Seq(6))
    );
    assert_eq!(
        machine.acknowledge(Seq(2), Seq(9)),
        Acknowledgement::Stays(Seq(6)),
        "backwards"
    );
    assert_eq!(machine.acknowledge(Seq(10), Seq(9)), Acknowledgement::Ahead);
}

fn timed() -> Machine<&'static str> {
    let timing = Timing {
        ping: Some(at(30)),
        silence: Some(at(70)),
        patience: Some(at(20)),
        expires: Some(at(1_000)),
        lived_out: Some(at(600)),
    };
    Machine::new(WINDOW, timing, at(0))
}

#[test]
fn a_quiet_peer_is_asked_and_then_given_up() {
    let mut machine = timed();
    assert_eq!(machine.wakes(), Some(at(30)));
    assert_eq!(machine.next(at(29)), None);
    assert_eq!(machine.next(at(30)), Some(Wish::Ping));
    assert_eq!(
        (machine.next(at(31)), machine.wakes()),
        (None, Some(at(70)))
    );
    machine.heard(at(40));
    assert_eq!(machine.wakes(), Some(at(70)), "30 after the last sign");
    assert_eq!(machine.next(at(70)), Some(Wish::Ping));
    assert_eq!(machine.next(at(109)), None);
    assert_eq!(machine.next(at(110)), Some(Wish::Close(End::Silent)));
    assert_eq!(machine.next(at(999)), None, "nothing after the end");
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
    let mut machine = timed();
    machine.wrote(50, at(5));
    machine.wrote(50, at(15));
    assert_eq!(machine.wakes(), Some(at(25)));
    machine.room(1, at(24));
    machine.heard(at(24));
    assert_eq!(
        machine.next(at(43)),
        None,
        "it is slow, and takes something"
    );
    machine.room(99, at(43));
    machine.heard(at(43));
    assert_eq!(machine.next(at(70)), None, "it has taken all");
    machine.heard(at(70));
    machine.wrote(1, at(80));
    assert_eq!(machine.next(at(100)), Some(Wish::Close(End::TooSlow)));
}

#[test]
fn the_first_reason_to_end_stays_and_times_are_kept() {
    let mut machine = timed();
    machine.heard(at(590));
    assert_eq!(machine.next(at(600)), Some(Wish::Close(End::LivedOut)));
    let mut machine = timed();
    machine.end(End::Superseded);
    machine.end(End::Stopping);
    assert_eq!(machine.next(at(1)), Some(Wish::Close(End::Superseded)));
    let mut machine = Machine::<()>::new(
        WINDOW,
        Timing {
            expires: Some(at(7)),
            ..Timing::default()
        },
        at(0),
    );
    assert_eq!((machine.next(at(6)), machine.wakes()), (None, Some(at(7))));
    assert_eq!(machine.next(at(7)), Some(Wish::Close(End::Expired)));
}

/// What happens to a connection in the property test.
#[derive(Clone, Debug)]
enum Step {
    /// A log grows by so many entries; the watch tells of it now, or later with the next growth.
    Grow {
        log: usize,
        by: u64,
        told: bool,
    },
    /// The peer takes up to so many bytes.
    Take(usize),
    /// The driver does what is wished, so many times; reads give up to so many entries.
    Drive {
        times: usize,
        entries: u64,
    },
    /// Entries that are being read arrive only after this.
    Stall,
    /// The device says that it has stored this.
    Acknowledge(u64),
    Pull {
        after: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize, 1..20_u64, any::<bool>()).prop_map(|(log, by, told)| Step::Grow {
            log,
            by,
            told
        }),
        (0..200_usize).prop_map(Step::Take),
        (1..8_usize, 1..6_u64).prop_map(|(times, entries)| Step::Drive { times, entries }),
        Just(Step::Stall),
        (0..200_u64).prop_map(Step::Acknowledge),
        (0..30_u64).prop_map(|after| Step::Pull { after }),
    ]
}

/// The size of an entry: most are small, a few larger than the window.
fn size(seq: u64) -> usize {
    match seq % 17 {
        0 => 250,
        5 => 60,
        other => 3 + other as usize,
    }
}

/// A world around a machine: two logs, a peer, a driver that may be slow.
struct World {
    machine: Machine<(usize, Vec<u64>)>,
    heads: [u64; 2],
    /// What the watch has told.
    told: [u64; 2],
    /// What the peer was sent of each log by its tails, in order.
    sent: [Vec<u64>; 2],
    outstanding: usize,
    pending: Option<(Read, u64)>,
    stalled: bool,
    pulls: u64,
    answered: u64,
    reached: u64,
}

/// Where each log is followed from.
const FROM: [u64; 2] = [0, 4];

impl World {
    fn new() -> Self {
        let mut machine = Machine::new(WINDOW, Timing::default(), at(0));
        let heads = [3, 9];
        for (log, from) in FROM.into_iter().enumerate() {
            let job = tail(heads[log]);
            machine.ask(log as u64, Seq(from), job).unwrap();
        }
        Self {
            machine,
            heads,
            told: heads,
            sent: [Vec::new(), Vec::new()],
            outstanding: 0,
            pending: None,
            stalled: false,
            pulls: 0,
            answered: 0,
            reached: 0,
        }
    }

    fn drive(&mut self, times: usize, entries: u64) {
        for _ in 0..times {
            if let Some((read, head)) = self.pending
                && !self.stalled
            {
                self.pending = None;
                self.finish(read, head, entries);
            }
            match self.machine.next(at(0)) {
                Some(Wish::Read(read)) => {
                    assert!(self.pending.is_none(), "one read at a time");
                    // The read sees the log as it is now, and its page arrives later.
                    self.pending = Some((read, self.heads[self.log_of(read.request)]));
                }
                Some(Wish::Write { page, bytes, .. }) => self.write(page, bytes),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
    }

    fn log_of(&self, request: u64) -> usize {
        if request < 2 { request as usize } else { 0 }
    }

    fn finish(&mut self, read: Read, head: u64, entries: u64) {
        let mut seqs = Vec::new();
        let mut bytes = 0;
        for seq in read.after.0 + 1..=head.min(read.after.0 + entries) {
            if bytes > 0 && bytes + size(seq) > read.bytes {
                break;
            }
            bytes += size(seq);
            seqs.push(seq);
        }
        let took = Took {
            bytes,
            last: seqs.last().map(|seq| Seq(*seq)),
            head: Seq(head),
            page: (read.request as usize, seqs),
        };
        self.machine.took(read.request, took);
    }

    fn write(&mut self, (request, seqs): (usize, Vec<u64>), bytes: usize) {
        assert!(
            self.outstanding == 0 || self.outstanding + bytes <= WINDOW.bytes,
            "{bytes} more than the window"
        );
        self.outstanding += bytes;
        match request {
            0 | 1 => self.sent[request].extend(seqs),
            _ => self.answered += 1,
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Grow { log, by, told } => {
                self.heads[log] += by;
                if told {
                    self.told[log] = self.heads[log];
                    self.machine.grown(log as u64, Seq(self.heads[log]));
                }
            }
            Step::Take(bytes) => {
                let bytes = bytes.min(self.outstanding);
                self.outstanding -= bytes;
                self.machine.room(bytes, at(0));
                self.stalled = false;
            }
            Step::Drive { times, entries } => self.drive(times, entries),
            Step::Stall => self.stalled = true,
            Step::Acknowledge(seq) => {
                let head = self.heads[0];
                match self.machine.acknowledge(Seq(seq), Seq(head)) {
                    Acknowledgement::Report(reported) => {
                        assert!(reported.0 == seq && seq > self.reached && seq <= head);
                        self.reached = seq;
                        self.machine.reached(reported);
                    }
                    Acknowledgement::Stays(stays) => {
                        assert!(stays.0 == self.reached && seq <= self.reached);
                    }
                    Acknowledgement::Ahead => assert!(seq > head),
                }
            }
            Step::Pull { after } => {
                let request = 10 + self.pulls;
                let after = Seq(after.min(self.heads[0]));
                let asked = self.machine.ask(request, after, Job::Pull { limit: 5 });
                let waiting = self.pulls - self.answered;
                assert_eq!(asked.is_ok(), waiting < WINDOW.pulls as u64);
                self.pulls += u64::from(asked.is_ok());
            }
        }
    }
}

proptest! {
    #[test]
    fn every_entry_comes_once_in_order_and_never_more_than_the_window(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step);
            for (log, sent) in world.sent.iter().enumerate() {
                let expected = FROM[log] + 1..=FROM[log] + sent.len() as u64;
                prop_assert!(sent.iter().copied().eq(expected), "{sent:?}");
                prop_assert!(FROM[log] + sent.len() as u64 <= world.heads[log]);
            }
        }
        // Whatever happened: a peer that takes everything has everything in the end.
        world.stalled = false;
        for log in 0..2 {
            world.machine.grown(log as u64, Seq(world.heads[log]));
        }
        for _ in 0..4_000 {
            world.drive(1, 5);
            let all = world.outstanding;
            world.apply(&Step::Take(all));
        }
        for (log, sent) in world.sent.iter().enumerate() {
            prop_assert_eq!(FROM[log] + sent.len() as u64, world.heads[log]);
        }
        prop_assert_eq!(world.answered, world.pulls);
        prop_assert!(world.machine.next(at(0)).is_none(), "at the end it rests");
    }
}
