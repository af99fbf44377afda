//! Native frames, of both directions.

use waybill_core::codec;
use waybill_core::wire::{self, ClientFrame, Frame, FrameError, FrameReader, ServerFrame};

/// Bound of the frames that are cut.
const LIMIT: usize = 1_024;

/// The frames of a stream that comes in pieces of at most `piece` bytes, and what ended it.
fn cut(stream: &[u8], piece: usize) -> (Vec<(u8, Vec<u8>)>, Option<FrameError>) {
    let mut reader = FrameReader::new(LIMIT);
    let mut frames = Vec::new();
    for mut rest in stream.chunks(piece.max(1)) {
        loop {
            match reader.next(&mut rest) {
                Ok(Some(frame)) => frames.push((frame.kind, frame.payload.to_vec())),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn read(frame: &Frame<'_>) {
    if let Ok(read) = ClientFrame::read(frame) {
        let again = |bytes: Vec<u8>| {
            let frame = Frame {
                kind: frame.kind,
                payload: &bytes,
            };
            assert_eq!(ClientFrame::read(&frame).as_ref(), Ok(&read));
        };
        match &read {
            ClientFrame::Hello(sent) => again(codec::encode(sent)),
            ClientFrame::Pull(sent) => again(codec::encode(sent)),
            ClientFrame::Send(sent) => again(codec::encode(sent)),
            ClientFrame::SendBatch(sent) => {
                let mut out = Vec::new();
                sent.write(&mut out).unwrap();
                again(out.split_off(wire::HEADER_BYTES + 1));
            }
            ClientFrame::Acknowledge(sent) => again(codec::encode(sent)),
            ClientFrame::Tail(sent) => again(codec::encode(sent)),
            ClientFrame::Bye(sent) => again(codec::encode(sent)),
            ClientFrame::Misdirected(_) | ClientFrame::Unknown(_) => {}
        }
    }
    if let Ok(ServerFrame::BatchSent(sent)) = ServerFrame::read(frame) {
        let mut out = Vec::new();
        sent.write(&mut out).unwrap();
        let payload = out.split_off(wire::HEADER_BYTES + 1);
        let again = Frame {
            kind: frame.kind,
            payload: &payload,
        };
        assert_eq!(ServerFrame::read(&again), Ok(ServerFrame::BatchSent(sent)));
    }
}

pub fn frames(input: &[u8]) {
    let (frames, ended) = cut(input, input.len());
    let held: usize = frames.iter().map(|(_, payload)| payload.len() + 5).sum();
    assert!(held <= input.len());
    for piece in [1, 7] {
        assert_eq!(cut(input, piece), (frames.clone(), ended), "in pieces");
    }
    for (kind, payload) in &frames {
        read(&Frame {
            kind: *kind,
            payload,
        });
    }
    // The same bytes as one frame, whatever length they claim.
    if let Some((kind, payload)) = input.split_first() {
        read(&Frame {
            kind: *kind,
            payload,
        });
    }
}
