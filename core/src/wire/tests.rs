//! Round trips of every frame, frames cut anywhere, and input that is no frame.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::body::OfflinePush;
use crate::codec;
use crate::fact::Options;
use crate::id::{ConversationSeq, Epoch, Seq, Time};

mod strategy;

use strategy::{client_frame, message_entry, server_frame};

/// Cuts `bytes` into pieces of the given sizes, over and over, and reads frames with `read`.
fn read_in_pieces<T>(
    bytes: &[u8],
    sizes: &[usize],
    limit: usize,
    read: impl Fn(&Frame<'_>) -> T,
) -> Result<Vec<T>, FrameError> {
    let mut reader = FrameReader::new(limit);
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let size = *sizes.next().unwrap();
        let (mut piece, after) = rest.split_at(size.clamp(1, rest.len()));
        rest = after;
        while let Some(frame) = reader.next(&mut piece)? {
            frames.push(read(&frame));
        }
        assert!(piece.is_empty(), "no frame, yet input was left");
        assert!(reader.kept_capacity() <= HEADER_BYTES + limit);
    }
    assert!(!reader.in_frame(), "whole frames leave nothing behind");
    Ok(frames)
}

proptest! {
    #[test]
    fn client_frames_come_out_as_they_went_in(
        frames in vec(client_frame(), 1..6),
        sizes in vec(1_usize..700, 1..8),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let read = read_in_pieces(&stream, &sizes, MAX_CLIENT_FRAME, |f| ClientFrame::read(f).unwrap());
        let expected: Vec<_> = frames.into_iter().map(|(frame, _)| frame).collect();
        prop_assert_eq!(read.unwrap(), expected);
    }

    #[test]
    fn server_frames_come_out_as_they_went_in(
        frames in vec(server_frame(), 1..6),
        sizes in vec(1_usize..700, 1..8),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let read = read_in_pieces(&stream, &sizes, MAX_SERVER_FRAME, |f| ServerFrame::read(f).unwrap());
        let expected: Vec<_> = frames.into_iter().map(|(frame, _)| frame).collect();
        prop_assert_eq!(read.unwrap(), expected);
    }

    #[test]
    fn message_entries_come_out_as_they_went_in(message in message_entry(), seq: u64, time: u64) {
        let entry = Entry::message(Seq(seq), Time(time), &message);
        prop_assert_eq!(entry.as_message().unwrap(), Some(message));
    }

    #[test]
    fn a_cut_payload_is_malformed((_, bytes) in client_frame(), cut in any::<prop::sample::Index>()) {
        let body = &bytes[HEADER_BYTES..];
        let (kind, payload) = (body[0], &body[1..]);
        prop_assume!(Kind::of(kind).is_some() && !payload.is_empty());
        let payload = &payload[..cut.index(payload.len())];
        let frame = Frame { kind, payload };
        prop_assert!(ClientFrame::read(&frame).is_err());
    }

    #[test]
    fn bytes_after_a_payload_are_malformed((_, bytes) in server_frame(), extra in vec(any::<u8>(), 1..9)) {
        let mut body = bytes[HEADER_BYTES..].to_vec();
        body.extend_from_slice(&extra);
        let frame = Frame { kind: body[0], payload: &body[1..] };
        prop_assert!(ServerFrame::read(&frame).is_err());
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_kept_beyond_the_bound(
        garbage in vec(any::<u8>(), 0..4_000),
        sizes in vec(1_usize..300, 1..8),
        limit in 1_usize..600,
    ) {
        let mut reader = FrameReader::new(limit);
        let (mut rest, mut sizes) = (&garbage[..], sizes.iter().cycle());
        'stream: while !rest.is_empty() {
            let size = *sizes.next().unwrap();
            let (mut piece, after) = rest.split_at(size.clamp(1, rest.len()));
            rest = after;
            loop {
                match reader.next(&mut piece) {
                    Ok(Some(frame)) => {
                        prop_assert!(frame.payload.len() < limit);
                        let _ = (ClientFrame::read(&frame), ServerFrame::read(&frame));
                    }
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
            prop_assert!(reader.kept_capacity() <= HEADER_BYTES + limit);
        }
    }

    #[test]
    fn garbage_of_a_known_kind_never_panics(kind in 1_u8..=14, payload in vec(any::<u8>(), 0..300)) {
        let frame = Frame { kind, payload: &payload };
        let _ = (ClientFrame::read(&frame), ServerFrame::read(&frame));
        let _ = codec::decode::<MessageEntry>(&payload);
    }
}

#[test]
fn a_length_is_refused_before_its_bytes_arrive() {
    for length in [MAX_CLIENT_FRAME as u32 + 1, u32::MAX] {
        let mut reader = FrameReader::new(MAX_CLIENT_FRAME);
        let header = length.to_le_bytes();
        assert_eq!(reader.next(&mut &header[..3]), Ok(None));
        let error = FrameError::TooLong {
            length: length as usize,
            limit: MAX_CLIENT_FRAME,
        };
        assert_eq!(reader.next(&mut &header[3..]), Err(error));
        assert!(reader.kept_capacity() <= HEADER_BYTES);
    }
    let mut reader = FrameReader::new(MAX_CLIENT_FRAME);
    assert_eq!(reader.next(&mut &[0; 4][..]), Err(FrameError::Empty));
}

#[test]
fn memory_follows_what_arrives_and_is_given_back() {
    let mut reader = FrameReader::new(MAX_CLIENT_FRAME);
    let length = 1_000_000_u32;
    let mut frame = length.to_le_bytes().to_vec();
    frame.resize(HEADER_BYTES + length as usize, 0xff);
    let (mut first, mut rest) = frame.split_at(100);
    assert_eq!(reader.next(&mut first), Ok(None));
    assert!(
        reader.kept_capacity() <= 200,
        "a promise of 1 MB is not memory"
    );
    assert_eq!(
        reader.next(&mut rest).unwrap().unwrap().payload.len(),
        999_999
    );
    assert_eq!(reader.next(&mut &[][..]), Ok(None));
    assert_eq!(reader.kept_capacity(), 0);
}

#[test]
fn a_lower_bound_holds_from_the_next_frame_on() {
    let mut reader = FrameReader::new(MAX_HELLO_FRAME);
    let long = [
        &(MAX_HELLO_FRAME as u32 + 1).to_le_bytes()[..],
        &[99; 20_000],
    ]
    .concat();
    assert!(reader.next(&mut &long[..]).is_err());
    let mut reader = FrameReader::new(MAX_HELLO_FRAME);
    reader.set_limit(MAX_CLIENT_FRAME);
    assert_eq!(reader.next(&mut &long[..]).unwrap().unwrap().kind, 99);
}

#[test]
fn a_frame_that_would_be_too_long_leaves_nothing_behind() {
    let bye = Bye {
        code: Code::CLOSED,
        retry_after_ms: 0,
        reason: "x".repeat(300),
    };
    let mut out = vec![7];
    assert!(write(&bye, 100, &mut out).is_err());
    assert_eq!(out, [7]);
    assert!(Bye::new(Code::CLOSED, "ü".repeat(300)).reason.len() <= MAX_REASON_BYTES);
}

fn empty_message() -> MessageEntry {
    MessageEntry {
        place: Place {
            kind: Place::SINGLE,
            peer: String::new(),
        },
        conversation_seq: ConversationSeq(1),
        sender: String::new(),
        server_msg_id: [0; 16],
        client_msg_id: String::new(),
        content_type: 101,
        notification_type: 0,
        options_off: Options(0),
        sender_nickname: String::new(),
        sender_face_url: String::new(),
        sender_platform: 0,
        created: None,
        offline_push: None,
        erased: false,
        content: Vec::new(),
    }
}

const HEAD: PageHead = PageHead {
    request: 1,
    epoch: Epoch([0; 16]),
    floor: Seq(1),
    head: Seq(u64::MAX),
    more: true,
};

#[test]
fn a_page_ends_before_it_is_too_long_and_always_takes_one_entry() {
    use crate::limits::{MAX_CONTENT_BYTES, MAX_ID_BYTES, MAX_TEXT_BYTES};
    let (id, text) = ("i".repeat(MAX_ID_BYTES), "t".repeat(MAX_TEXT_BYTES));
    let largest = MessageEntry {
        place: Place {
            kind: Place::SINGLE,
            peer: id.clone(),
        },
        sender: id.clone(),
        client_msg_id: id,
        sender_nickname: text.clone(),
        sender_face_url: text.clone(),
        offline_push: Some(OfflinePush {
            title: text.clone(),
            desc: text.clone(),
            ex: text.clone(),
            ios_push_sound: text,
            ios_badge_count: true,
        }),
        content: vec![b'c'; MAX_CONTENT_BYTES],
        ..empty_message()
    };
    let mut page = PageWriter::new(usize::MAX);
    let taken = (1..).take_while(|seq| page.push(&Entry::message(Seq(*seq), Time(0), &largest)));
    let taken = taken.count() as u64;
    assert!(taken > 1);
    assert_eq!(page.last(), Some(Seq(taken)));
    let mut out = Vec::new();
    page.finish(&HEAD, &mut out).unwrap();
    assert!(out.len() <= HEADER_BYTES + 1024 + PAGE_BYTES);
    let read = Page::read(&out[HEADER_BYTES + 1..]).unwrap();
    assert_eq!(read.entries.len() as u64, taken);
    assert_eq!(read.entries[0].as_message().unwrap(), Some(largest));

    let mut page = PageWriter::new(usize::MAX);
    let huge = Entry {
        seq: Seq(1),
        kind: 200,
        time: Time(0),
        payload: vec![0; PAGE_BYTES + 1],
    };
    assert!(page.push(&huge), "the first entry is always taken");
    assert!(!page.push(&Entry {
        payload: Vec::new(),
        ..huge
    }));
}

#[test]
fn a_page_has_no_more_entries_than_it_may() {
    let mut page = PageWriter::new(usize::MAX);
    let taken =
        (1..).take_while(|seq| page.push(&Entry::message(Seq(*seq), Time(0), &empty_message())));
    assert_eq!(taken.count(), MAX_PAGE_ENTRIES as usize);
}

#[test]
fn a_list_with_too_many_items_is_refused_before_it_is_read() {
    let mut payload = codec::encode(&HEAD);
    codec::encode_into(&(u64::from(MAX_PAGE_ENTRIES) + 1), &mut payload);
    payload.resize(payload.len() + 5_000, 0);
    let error = Page::read(&payload).unwrap_err().to_string();
    assert!(error.contains("1001 items"), "{error}");
    let mut payload = codec::encode(&1_u64);
    codec::encode_into(&u64::MAX, &mut payload);
    assert!(SendBatch::read(&payload).is_err());
    let mut payload = codec::encode(&1_u64);
    codec::encode_into(&9_u64, &mut payload);
    assert!(
        SendBatch::read(&payload)
            .unwrap_err()
            .to_string()
            .contains("9 items in 0 bytes")
    );
}

#[test]
fn the_longest_answer_to_a_batch_fits_a_frame() {
    let failure =
        Failure::new(Code(u16::MAX), "x".repeat(MAX_REASON_BYTES)).retry_after_ms(u32::MAX);
    let answers = vec![Err(failure); MAX_BATCH];
    let mut out = Vec::new();
    BatchSent {
        request: u64::MAX,
        answers,
    }
    .write(&mut out)
    .unwrap();
    assert!(BatchSent::read(&out[HEADER_BYTES + 1..]).is_ok());
}

#[test]
fn frames_of_the_other_direction_are_told_apart_from_unknown_ones() {
    for kind in 0..=u8::MAX {
        let client = ClientFrame::read(&Frame { kind, payload: &[] });
        let server = ServerFrame::read(&Frame { kind, payload: &[] });
        match Kind::of(kind) {
            Some(known) => {
                assert_eq!(known as u8, kind);
                let misdirected = [
                    client == Ok(ClientFrame::Misdirected(known)),
                    server == Ok(ServerFrame::Misdirected(known)),
                ];
                let both_ways = known == Kind::Bye;
                assert_eq!(
                    misdirected.iter().filter(|it| **it).count(),
                    usize::from(!both_ways)
                );
            }
            None => {
                assert_eq!(client, Ok(ClientFrame::Unknown(kind)));
                assert_eq!(server, Ok(ServerFrame::Unknown(kind)));
            }
        }
    }
}

#[test]
fn codes_are_distinct_and_explained() {
    assert!(CODES.is_sorted_by(|one, next| one.code < next.code));
    assert!(Code::EARLY_DATA.info().unwrap().retryable);
    assert_eq!(Code::EARLY_DATA.to_string(), "EARLY_DATA (106)");
    assert_eq!(Code(9_999).to_string(), "unknown code 9999");
    assert!(!Failure::new(Code(9_999), "").retryable);
}

#[test]
fn the_page_names_every_code_and_every_kind() {
    let page = include_str!("../../../docs/protocol.md");
    for CodeInfo {
        code: Code(number),
        name,
        retryable,
    } in CODES
    {
        let may = match (number, retryable) {
            (0, _) => "",
            (_, true) => "yes ",
            (_, false) => "no ",
        };
        let row = format!("\n| {number} | `{name}` | {may}|");
        // Those of HTTP stand in a sentence below the table.
        let http_only = page.contains(&format!("{number} `{name}`"));
        assert!(page.contains(&row) || http_only, "{row}");
    }
    for kind in Kind::ALL {
        let number = kind as u8;
        let rows = ["→", "←", "↔"].map(|way| format!("\n| {number} | {way} | `{kind:?}` |"));
        assert!(rows.iter().any(|row| page.contains(row)), "{kind:?}");
    }
    assert_eq!(
        ALPN,
        format!("waybill/{}", crate::versions::WIRE_VERSION).as_bytes()
    );
    assert!(page.contains("The ALPN name is `waybill/1`"));
}

#[test]
fn a_token_is_not_printed() {
    let hello = Hello {
        token: "sesame".to_owned(),
        device: Device::default(),
        software: String::new(),
        capabilities: Capabilities::NONE,
    };
    assert!(!format!("{hello:?}").contains("sesame"));
}
