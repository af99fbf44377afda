//! What a decoder allocates on the word of bytes that it has not read yet. This program has one test, because it counts what
//! the whole program allocates.
#![expect(
    unsafe_code,
    reason = "an allocator that counts can only be written so; it hands everything on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use waybill_core::body::{self, Body};
use waybill_core::codec::{self, MAX_LIST_RESERVE_BYTES};
use waybill_core::command::Stamped;
use waybill_core::fact::Fact;
use waybill_core::id::Position;
use waybill_core::limits::MAX_COMMAND_BYTES;
use waybill_core::record::Record;
use waybill_core::state::{DevicesRow, TokenCutRow, UserRow};

/// The largest piece that was asked for.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The largest piece that decoding `bytes` as anything asks for.
fn largest(bytes: &[u8]) -> usize {
    LARGEST.store(0, Ordering::Relaxed);
    let accepted = [
        codec::decode::<Fact>(bytes).is_ok(),
        codec::decode::<Body>(bytes).is_ok(),
        codec::decode::<Stamped>(bytes).is_ok(),
        codec::decode::<DevicesRow>(bytes).is_ok(),
        codec::decode::<TokenCutRow>(bytes).is_ok(),
        codec::decode::<UserRow>(bytes).is_ok(),
        Record::decode_canonical(Position(1), bytes).is_ok(),
        body::decode_stored(bytes).is_ok(),
    ];
    assert!(
        !accepted.contains(&true),
        "these bytes claim more than they hold"
    );
    LARGEST.load(Ordering::Relaxed)
}

#[test]
fn claims_cost_nothing() {
    // What comes before a length in each type, and then the length.
    let prefixes: [&[u8]; 9] = [
        &[],
        &[0],                   // Body::User, an id
        &[9],                   // Fact::Reached, cursors
        &[3, 0, 0, 0, 0, 0, 0], // Body::Message, its content
        &[0, 0, 0, 3],          // Stamped, Ask::Register, an id
        &[0, 0, 0, 8],          // Stamped, Ask::Reach, cursors
        &[1, 1, 0, 0, 0, 9],    // Record, Fact::Reached, cursors
        &[7; 17],               // an opening, then a body
        &[1],                   // DevicesRow, TokenCutRow, UserRow: a number, then a list or a text
    ];
    let lengths = [
        1 << 16,
        MAX_COMMAND_BYTES as u64,
        1 << 20,
        1 << 32,
        u64::MAX >> 1,
        u64::MAX,
    ];
    let mut most = 0;
    for prefix in prefixes {
        for length in lengths {
            for rest in [0, 60, 4_000] {
                let bytes = [prefix, &[253], &length.to_le_bytes(), &vec![0; rest]].concat();
                most = most.max(largest(&bytes));
            }
        }
    }
    assert!(most <= MAX_LIST_RESERVE_BYTES, "{most} bytes at once");
    // The counting works: a text within the limit is allocated whole before it is read.
    assert!(most >= MAX_COMMAND_BYTES - 8, "{most} bytes at once");
}
