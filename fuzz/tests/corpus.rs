//! Each decoder over the inputs in `corpus/`, and for a moment over mutations of them, the same in each run. What finds more
//! is `make fuzz`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use waybill_fuzz::mutate::{Dice, mutated};
use waybill_fuzz::{TARGETS, Target};

/// How long the mutations of one target go on.
const MOMENT: Duration = Duration::from_millis(1_500);

fn try_input(target: Target, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    assert!(
        outcome.is_ok(),
        "the decoder {} broke a promise; when it is mended, keep this line in fuzz/corpus/{}.hex:\n{}",
        target.name,
        target.name,
        hex::encode(input)
    );
}

fn holds(name: &str) {
    let target = Target::named(name).expect("a target with this name");
    let corpus = target.corpus();
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for input in &corpus {
        try_input(target, input);
    }
    let (mut dice, end) = (Dice::new(1), Instant::now() + MOMENT);
    while Instant::now() < end {
        for _ in 0..64 {
            try_input(target, &mutated(&corpus, target.longest, &mut dice));
        }
    }
}

macro_rules! targets {
    ($($test:ident $name:literal)+) => {
        $(
            #[test]
            fn $test() {
                holds($name);
            }
        )+

        #[test]
        fn every_target_is_tried() {
            let tried = [$($name),+];
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(tried[..], all[..]);
        }
    };
}

targets! {
    gob "gob"
    gzip "gzip"
    protobuf "protobuf"
    ws_frames "ws-frames"
    ws_address "ws-address"
    openim_names "openim-names"
    openim_content "openim-content"
    content "content"
    go_json "go-json"
    socket_frames "socket-frames"
    query "query"
    tokens "tokens"
    ids "ids"
    records "records"
    rows "rows"
    wire "wire"
}
