//! The bounds of the edge, each a key of `[limits]` with its default and the values it may take. They bound what one
//! peer can ask of the server; bounds of the domain are constants of the core.

/// One bound as a key of the configuration.
pub struct LimitKey {
    /// Name below `limits.`; ends with its unit.
    pub name: &'static str,
    /// What it bounds.
    pub help: &'static str,
    /// The value when nothing is configured.
    pub default: u64,
    /// Smallest value taken.
    pub min: u64,
    /// Largest value taken: the hard cap.
    pub max: u64,
    /// Reads it.
    pub get: fn(&Limits) -> u64,
    pub(super) set: fn(&mut Limits, u64),
}

macro_rules! limits {
    ($($(#[doc = $help:literal])+ $name:ident: $default:expr, $min:expr => $max:expr;)+) => {
        /// The bounds of the edge. Every field is a key of `[limits]`; [`LIMITS`] has defaults and hard caps.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $help])+ pub $name: u64,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// All bounds, in the order of their declaration.
        pub const LIMITS: &[LimitKey] = &[$(LimitKey {
            name: stringify!($name),
            help: concat!($($help),+),
            default: $default,
            min: $min,
            max: $max,
            get: |limits| limits.$name,
            set: |limits, value| limits.$name = value,
        }),+];
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

limits! {
    /// Longest body of an HTTP request.
    http_body_bytes: MIB, 4 * KIB => 8 * MIB;
    /// Longest `content` of a message.
    content_bytes: 64 * KIB, 256 => 64 * KIB;
    /// Longest operationID.
    operation_id_bytes: 128, 16 => 4 * KIB;
    /// Deepest nesting of a JSON body.
    json_depth: 32, 4 => 64;
    /// Most header lines of an HTTP request.
    headers: 64, 8 => 256;
    /// Longest header block of an HTTP/2 request; one of HTTP/1 has 64 KiB.
    header_bytes: 16 * KIB, 8 * KIB => 64 * KIB;
    /// Entries of a page when the caller names no limit.
    page_entries: 200, 1 => 1_000;
    /// Longest wait of a long poll.
    long_poll_seconds: 25, 1 => 60;
    /// Connections at one time, over all listeners of HTTP.
    connections: 10_000, 1 => 1_000_000;
    /// Connections of one address at one time. Loopback is exempt.
    connections_per_address: 64, 1 => 1_000_000;
    /// Live connections of one user at one time: long polls that wait, and QUIC.
    connections_per_user: 8, 1 => 1_000;
    /// Live connections of all users at one time.
    live_connections: 100_000, 1 => 10_000_000;
    /// Streams of one HTTP/2 connection at one time.
    http2_streams: 128, 1 => 1_024;
    /// Time for a TLS handshake.
    handshake_seconds: 5, 1 => 60;
    /// Time for the header block of a request, from its first byte.
    header_seconds: 10, 1 => 60;
    /// Time for the body of a request.
    body_seconds: 30, 1 => 300;
    /// Time an HTTP connection may stay without a request, or without taking more of an answer.
    idle_seconds: 75, 1 => 3_600;
    /// How long a live connection over TCP may take nothing of what waits for it before it is let go.
    take_seconds: 30, 1 => 300;
    /// How long a native WebSocket may be silent before it is asked for a sign of life; one that gives none for two and a half times
    /// as long ends.
    ping_seconds: 30, 1 => 60;
    /// How long a connection of OpenIM's gateway may be silent before it is asked for a sign of life; one that gives none for twice as
    /// long and 3 s more ends.
    ws_ping_seconds: 27, 1 => 60;
    /// How far a caller's clock may be off when the time of a token is checked.
    clock_skew_seconds: 30, 0 => 300;
    /// How long a send may wait before the writer takes it; after that it is refused, never done later.
    send_wait_seconds: 10, 1 => 60;
    /// Time for requests in progress when the server stops.
    drain_seconds: 15, 0 => 300;
    /// Messages that one ordinary user may send a second, on average; 0: no bound.
    sends_per_second: 20, 0 => 100_000;
    /// Messages that one ordinary user may send at once after a pause.
    sends_burst: 100, 1 => 1_000_000;
    /// Messages of ordinary users that one receiver may get a second, on average; 0: no bound.
    receives_per_second: 20, 0 => 100_000;
    /// Messages of ordinary users that one receiver may get at once after a pause.
    receives_burst: 100, 1 => 1_000_000;
    /// Messages that one business account may send a second, on average; 0: no bound but the queue's.
    business_sends_per_second: 0, 0 => 1_000_000;
    /// Messages that one business account may send at once after a pause, where it has a rate.
    business_sends_burst: 1_000, 1 => 1_000_000;
    /// Verified tokens that are remembered.
    token_cache_entries: 16_384, 64 => 1_048_576;
    /// How long the word of a device, that it has stored its log so far, waits at most before it is handed to the writer.
    reached_seconds: 5, 1 => 60;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_within_their_caps() {
        let limits = Limits::default();
        for key in LIMITS {
            assert!(
                key.min <= key.default && key.default <= key.max,
                "{}",
                key.name
            );
            assert_eq!((key.get)(&limits), key.default, "{}", key.name);
            assert!(!key.help.is_empty());
        }
    }

    #[test]
    fn each_key_sets_its_own_field() {
        for key in LIMITS {
            let mut limits = Limits::default();
            (key.set)(&mut limits, 7_654_321);
            let changed: Vec<_> = LIMITS
                .iter()
                .filter(|other| (other.get)(&limits) == 7_654_321)
                .collect();
            assert_eq!(changed.len(), 1);
            assert_eq!(changed[0].name, key.name);
        }
    }
}
