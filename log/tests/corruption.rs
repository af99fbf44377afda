//! Damage of every kind to a small data directory, as a kill leaves it. Each time it must be refused, and the place named, or
//! everything that was answered must be there.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::image::{Image, quick_dir};
use common::rows::{assert_same, fold, records_in, rows_in, state_hash};
use common::served::Served;
use common::{Harness, chat, found_as, notify, small};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span;
use waybill_core::id::{Hash, Position, Time};
use waybill_core::versions::VIEWS_VERSION;
use waybill_log::clock::ManualClock;
use waybill_log::rocks::{Access, Memory, RocksViews};
use waybill_log::store::{Applied, Mark, Views};
use waybill_log::{Log, OpenError, Options};

/// Runs jobs 0 to `count`, a few at a time.
fn each(count: usize, job: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    job(n);
                }
            });
        }
    });
}

/// Whether to take the long way: every bit, every offset.
fn thorough() -> bool {
    std::env::var_os("WAYBILL_EVERY_BIT").is_some()
}

/// Every so many offsets, or each when there is time.
fn stride(quick: usize) -> usize {
    if thorough() { 1 } else { quick }
}

fn options() -> Options {
    let clock = ManualClock::default();
    clock.set(Time(1_700_000_000_000));
    Options {
        config: small(),
        clock: Box::new(clock),
        ..Options::default()
    }
}

/// Some messages, each in a batch of its own, and all answered.
fn send(harness: &Harness, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let receiver = format!("user{}", n % 3);
        let key = format!("key{n}");
        if n % 4 == 3 {
            harness.sent(chat("user0", &receiver, n, Some(&key)));
        } else {
            harness.sent(notify("oa", &receiver, n, Some(&key)));
        }
    }
}

/// A directory as a kill leaves it right after the last answer, with views that were never flushed.
fn killed() -> Image {
    let dir = quick_dir();
    let harness = Harness::open_with(dir.path(), options()).expect("opens");
    send(&harness, 0..6);
    let image = Image::of(dir.path()).lean();
    harness.close();
    image
}

/// A directory that was closed, opened, written to and closed again, so that there is something in every kind of file.
fn closed() -> Image {
    let dir = quick_dir();
    let harness = Harness::open_with(dir.path(), options()).expect("opens");
    send(&harness, 0..9);
    let path = harness.close();
    let harness = Harness::open(&path);
    send(&harness, 9..12);
    harness.close();
    Image::of(&path).lean()
}

fn the_log(image: &Image) -> PathBuf {
    let log = image.named("ledger", ".log").remove(0);
    assert!(image.files[&log].len() > 1000);
    log
}

/// How an error names damage in the write-ahead log, or a log that ends too early.
const IN_THE_LOG: &[&str] = &[".log, offset ", "the tail file"];
/// How an error names the tail file.
const IN_THE_TAIL_FILE: &[&str] = &["the tail file"];
/// How an error names damage in one of RocksDB's files: by the file, or by what is in it.
const IN_A_FILE: &[&str] = &[
    ".log, offset ",
    ".sst",
    "MANIFEST",
    "CURRENT",
    "the tail file",
    "`format`",
    "record ",
    "position ",
];

/// The error must name a place that somebody can look at.
fn assert_named(error: &str, places: &[&str], what: &str) {
    assert!(
        places.iter().any(|place| error.contains(place)),
        "{what}: {error}"
    );
}

/// Refused and named, or whole. Gives whether it was whole.
fn refused_or_whole(image: &Image, whole: &Served, places: &[&str], what: &str) -> bool {
    match Served::of(image) {
        Ok(served) => {
            assert!(served == *whole, "{what}: something is missing or other");
            true
        }
        Err(error) => {
            assert_named(&error, places, what);
            false
        }
    }
}

#[test]
fn every_byte_of_the_log_flipped() {
    let image = killed();
    let whole = Served::of(&image).expect("is whole");
    let log = the_log(&image);
    let bits: usize = if thorough() { 8 } else { 1 };
    let served = AtomicUsize::new(0);
    each(image.files[&log].len() * bits, |n| {
        let (at, bit) = (n / bits, if bits == 1 { n % 8 } else { n % bits });
        let damaged = image.change(&log, |bytes| bytes[at] ^= 1 << bit);
        if refused_or_whole(
            &damaged,
            &whole,
            IN_THE_LOG,
            &format!("bit {bit} of byte {at}"),
        ) {
            served.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Every byte of it is covered by a checksum, or is one.
    assert_eq!(served.into_inner(), 0);
}

#[test]
fn the_log_cut_at_every_length() {
    let image = killed();
    let whole = Served::of(&image).expect("is whole");
    let log = the_log(&image);
    let len = image.files[&log].len();
    each(len, |n| {
        let cut = image.change(&log, |bytes| bytes.truncate(n));
        let served = refused_or_whole(&cut, &whole, IN_THE_LOG, &format!("cut at {n}"));
        assert!(
            !served,
            "cut at {n}: something answered is gone, and nobody noticed"
        );
    });
    // Zeros behind the end are space that was set aside.
    let longer = image.change(&log, |bytes| bytes.resize(len + 5000, 0));
    assert!(refused_or_whole(&longer, &whole, IN_THE_LOG, "zeros"));
    let longer = image.change(&log, |bytes| bytes.extend_from_slice(b"something"));
    refused_or_whole(&longer, &whole, IN_THE_LOG, "noise");
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<String>>);

impl tracing::Subscriber for Messages {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Text(&mut self.0.lock()));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

fn torn_files(path: &Path) -> Vec<Vec<u8>> {
    let image = Image::of(path);
    let torn = image.named("ledger", ".torn");
    torn.iter().map(|name| image.files[name].clone()).collect()
}

#[test]
fn a_torn_batch_that_nobody_was_answered_is_cut_off() {
    let dir = quick_dir();
    let harness = Harness::open_with(dir.path(), options()).expect("opens");
    send(&harness, 0..6);
    harness.log().control().flush().expect("flushes");
    let before = Image::of(dir.path()).lean();
    send(&harness, 6..7);
    // The batch reached the file, and the process was killed before it answered.
    let after = Image::of(dir.path()).lean().with("tail", &before);
    harness.close();
    let log = the_log(&after);
    let (start, end) = (before.files[&log].len(), after.files[&log].len());
    assert!(after.files[&log].starts_with(&before.files[&log]) && end > start + 100);
    let (without, with) = (
        Served::of(&before).expect("opens"),
        Served::of(&after).expect("opens"),
    );
    assert!(with.records.starts_with(&without.records) && with != without);

    let step = stride(3);
    each((end - start).div_ceil(step), |n| {
        let at = start + n * step;
        let torn = after.change(&log, |bytes| bytes.truncate(at));
        let (dir, messages) = (torn.write_out(), Messages::default());
        let served = tracing::subscriber::with_default(messages.clone(), || Served::at(dir.path()));
        assert!(served == Ok(without.clone()), "cut at {at}: {served:?}");
        let messages = messages.0.lock().clone();
        let expected = format!("offset={start} lost_bytes={}", at - start);
        assert_eq!(
            messages.contains("is torn") && messages.contains(&expected),
            at > start,
            "{messages}"
        );
        assert_eq!(
            torn_files(dir.path()),
            [[]; 0],
            "it was not answered: nobody needs it"
        );
    });
}

#[test]
fn a_torn_batch_that_was_answered_is_refused_and_kept() {
    let image = killed();
    let log = the_log(&image);
    let bytes = &image.files[&log];
    let cut = image.change(&log, |bytes| bytes.truncate(bytes.len() - 10));
    let dir = cut.write_out();
    let first = Served::at(dir.path()).expect_err("something answered is gone");
    assert!(
        first.contains("records are missing") && first.contains("the tail file"),
        "{first}"
    );
    let kept = torn_files(dir.path());
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].is_empty() && bytes[..bytes.len() - 10].ends_with(&kept[0]));
    // It does not go away by trying again, and neither does what was kept.
    assert_eq!(Served::at(dir.path()), Err(first));
    assert_eq!(torn_files(dir.path()), kept);
}

#[test]
fn the_tail_file_flipped_cut_and_lost() {
    let image = closed();
    let whole = Served::of(&image).expect("is whole");
    let tail = PathBuf::from("tail");
    let len = image.files[&tail].len();
    // Both slots, and some of the hole between them.
    let slots = (0..72).chain(4096..len).step_by(stride(2));
    let places: Vec<usize> = slots.chain((72..4096).step_by(500)).collect();
    let served = AtomicUsize::new(0);
    each(places.len(), |n| {
        let (at, bit) = (places[n], n % 8);
        let damaged = image.change(&tail, |bytes| bytes[at] ^= 1 << bit);
        if refused_or_whole(
            &damaged,
            &whole,
            IN_THE_TAIL_FILE,
            &format!("byte {at} of the tail file"),
        ) {
            served.fetch_add(1, Ordering::Relaxed);
        }
    });
    // The other slot tells enough.
    assert_eq!(served.into_inner(), places.len());
    let both = image.change(&tail, |bytes| (bytes[20], bytes[4096 + 20]) = (77, 77));
    let error = Served::of(&both).expect_err("neither slot is right");
    assert!(error.contains("the tail file is corrupt"), "{error}");
    for len in [1, 71, 72, 73, 4096, 4097, len - 1] {
        let cut = image.change(&tail, |bytes| bytes.truncate(len));
        refused_or_whole(
            &cut,
            &whole,
            IN_THE_TAIL_FILE,
            &format!("tail file cut at {len}"),
        );
    }
    let messages = Messages::default();
    let lost = image.clone().without("tail");
    let served = tracing::subscriber::with_default(messages.clone(), || Served::of(&lost));
    assert!(served == Ok(whole));
    assert!(messages.0.lock().contains("there is no tail file"));
}

/// Two directories with the same commands at the same times, in two histories, and one with others.
fn histories() -> [Image; 3] {
    [(1, 0), (2, 0), (1, 100)].map(|(history, first)| {
        let dir = quick_dir();
        let harness = Harness::open_as(dir.path(), options(), found_as(history)).expect("opens");
        send(&harness, first..first + 5);
        let path = harness.close();
        Image::of(&path).lean()
    })
}

fn open_error(image: &Image) -> OpenError {
    let dir = image.write_out();
    match Log::open(dir.path(), options(), &mut |_, _| {}) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[test]
fn a_ledger_exchanged_for_another_one_is_refused() {
    let [one, twin, other] = histories();
    for (ledger, views) in [
        (&twin, false),
        (&twin, true),
        (&other, false),
        (&other, true),
    ] {
        let mut mixed = one.clone().with("ledger", ledger);
        if !views {
            mixed = mixed.without("views");
        }
        let error = open_error(&mixed);
        assert!(matches!(error, OpenError::Replaced { .. }), "{error}");
        let last = Served::of(&one).expect("opens").records.len();
        let record = if ledger == &twin { 1 } else { last };
        let named = format!("record {record} is not the one that the tail file has seen");
        assert!(error.to_string().contains(&named), "{error}");
    }
}

#[test]
fn views_of_another_ledger_are_made_anew() {
    let [one, twin, other] = histories();
    for views in [&twin, &other] {
        let mixed = one.clone().with("views", views);
        let dir = mixed.write_out();
        let (messages, path) = (Messages::default(), dir.path());
        let served = tracing::subscriber::with_default(messages.clone(), || Served::at(path));
        assert_eq!(served, Served::of(&one));
        assert!(messages.0.lock().contains("the views are rebuilt"));
        let rows = rows_in(path);
        assert_same(&rows, &fold(&records_in(path)), "views");
        assert_ne!(
            state_hash(&rows),
            state_hash(&rows_in(views.write_out().path()))
        );
    }
}

#[test]
fn views_ahead_of_the_ledger_show_that_it_has_lost_something() {
    let dir = quick_dir();
    let harness = Harness::open_with(dir.path(), options()).expect("opens");
    send(&harness, 0..4);
    let path = harness.close();
    let old = Image::of(&path).lean();
    let harness = Harness::open(&path);
    send(&harness, 4..8);
    let new = Image::of(&harness.close()).lean();

    // From a backup came the ledger and perhaps the tail file; the views stayed.
    for mixed in [
        new.clone().with("ledger", &old).with("tail", &old),
        new.clone().with("ledger", &old).without("tail"),
        new.clone().without("ledger").without("tail"),
    ] {
        let error = open_error(&mixed);
        assert!(matches!(error, OpenError::Truncated { .. }), "{error}");
        assert!(
            error.to_string().contains("what the views have applied"),
            "{error}"
        );
    }
    let error = open_error(&new.clone().with("ledger", &old));
    assert!(error.to_string().contains("the tail file"), "{error}");
    // Also when a flush was under way.
    let dir = new
        .clone()
        .with("ledger", &old)
        .with("tail", &old)
        .write_out();
    let memory = Memory::new(&small()).expect("has an environment");
    {
        let views =
            RocksViews::open(&dir.path().join("views"), &memory, Access::Write).expect("opens");
        let mark = views.mark().expect("reads").expect("has one");
        views
            .write(
                &[],
                Some(&Mark {
                    whole: false,
                    ..mark
                }),
            )
            .expect("writes");
        views.flush().expect("flushes");
    }
    let error = Served::at(dir.path()).expect_err("records are missing");
    assert!(error.contains("what the views have applied"), "{error}");
}

#[test]
fn views_with_a_mark_that_does_not_hold_are_made_anew() {
    let image = closed();
    let whole = Served::of(&image).expect("is whole");
    let applied = |position, leaf| Applied {
        epoch: waybill_core::id::Epoch::new(1, [5; 14]),
        position: Position(position),
        leaf: Hash([leaf; 32]),
    };
    let mark = Mark {
        version: VIEWS_VERSION,
        applied: Some(applied(5, 0)),
        whole: true,
    };
    let marks = [
        mark,
        Mark {
            whole: false,
            ..mark
        },
        Mark {
            applied: None,
            ..mark
        },
        Mark {
            version: VIEWS_VERSION + 1,
            ..mark
        },
        Mark {
            applied: Some(applied(0, 0)),
            ..mark
        },
    ];
    for mark in marks {
        let dir = image.write_out();
        let memory = Memory::new(&small()).expect("has an environment");
        {
            let views =
                RocksViews::open(&dir.path().join("views"), &memory, Access::Write).expect("opens");
            views.write(&[], Some(&mark)).expect("writes");
            views.flush().expect("flushes");
        }
        let messages = Messages::default();
        let served = tracing::subscriber::with_default(messages.clone(), || Served::at(dir.path()));
        assert!(served.as_ref() == Ok(&whole), "{mark:?}: {served:?}");
        assert!(
            messages.0.lock().contains("the views are rebuilt"),
            "{mark:?}"
        );
        assert_same(
            &rows_in(dir.path()),
            &fold(&records_in(dir.path())),
            "views",
        );
    }
}

#[test]
fn every_file_lost_emptied_or_cut_in_half() {
    for (name, image) in [("killed", killed()), ("closed", closed())] {
        let whole = Served::of(&image).expect("is whole");
        let files: Vec<PathBuf> = image.files.keys().cloned().collect();
        each(files.len() * 3, |n| {
            let file = &files[n / 3];
            let (how, damaged) = match n % 3 {
                0 => (
                    "lost",
                    image.clone().without(file.to_str().expect("is text")),
                ),
                1 => ("emptied", image.change(file, Vec::clear)),
                _ => (
                    "halved",
                    image.change(file, |bytes| bytes.truncate(bytes.len() / 2)),
                ),
            };
            let what = format!("{name}, {} {how}", file.display());
            let served = refused_or_whole(&damaged, &whole, IN_A_FILE, &what);
            // The views can always be made again from the ledger.
            if file.starts_with("views") {
                assert!(served, "{what}: refused");
            }
        });
    }
}

/// Flips bits of the files of one kind.
fn flip(image: &Image, whole: &Served, files: &[PathBuf], step: usize) -> [usize; 2] {
    let places: Vec<(&PathBuf, usize)> = files
        .iter()
        .flat_map(|file| {
            (0..image.files[file].len())
                .step_by(step)
                .map(move |at| (file, at))
        })
        .collect();
    let served = AtomicUsize::new(0);
    each(places.len(), |n| {
        let (file, at) = places[n];
        let damaged = image.change(file, |bytes| bytes[at] ^= 1 << (n % 8));
        let what = format!("byte {at} of {}", file.display());
        if refused_or_whole(&damaged, whole, IN_A_FILE, &what) {
            served.fetch_add(1, Ordering::Relaxed);
        }
    });
    let served = served.into_inner();
    [served, places.len() - served]
}

#[test]
fn flips_in_the_tables_of_the_ledger() {
    let image = closed();
    let whole = Served::of(&image).expect("is whole");
    let [served, refused] = flip(&image, &whole, &image.named("ledger", ".sst"), stride(23));
    assert!(refused > served, "{refused} refused, {served} served");
}

#[test]
fn flips_in_the_tables_of_the_views() {
    let image = closed();
    let whole = Served::of(&image).expect("is whole");
    flip(&image, &whole, &image.named("views", ".sst"), stride(311));
}

#[test]
fn flips_in_the_manifests() {
    let image = closed();
    let whole = Served::of(&image).expect("is whole");
    for part in ["ledger", "views"] {
        let files: Vec<PathBuf> = image
            .files
            .keys()
            .filter(|path| path.starts_with(part))
            .filter(|path| {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                name.starts_with("MANIFEST") || name == "CURRENT"
            })
            .cloned()
            .collect();
        flip(&image, &whole, &files, stride(37));
    }
}

#[test]
fn a_start_that_was_cut_short_can_be_repeated() {
    // The power went while the directory was being made.
    let dir = quick_dir();
    std::fs::write(dir.path().join("format"), "").expect("writes");
    let harness = Harness::open(dir.path());
    send(&harness, 0..1);
    let path = harness.close();
    assert_eq!(
        std::fs::read(path.join("format")).expect("reads"),
        b"waybill ledger format 1\n"
    );
    // With a ledger beside it an empty format file is no beginning.
    std::fs::write(path.join("format"), "").expect("writes");
    let error = Served::at(&path).expect_err("is odd");
    assert!(error.contains("holds no Waybill ledger"), "{error}");
}
