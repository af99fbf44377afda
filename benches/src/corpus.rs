//! The one generator of message bodies: notifications as an office system sends them.
//!
//! Shape: the push request of OpenIM's published API (contentType 1400) in compact JSON. Name, face, link, type and
//! text vary from message to message. Message `i` of a seed is the same on every machine and needs no message before
//! it. It must not know who stores or sends the messages.

mod words;

use std::fmt::Write as _;

use waybill_core::body::{self, Body};
use waybill_core::codec;

use crate::rng::Rng;

/// The account that sends every notice: OpenIM's default manager.
pub const SENDER: &str = "openIM123456";

/// The content type of a notification.
pub const CONTENT_TYPE: u32 = 1400;

/// How many users there are unless told otherwise.
pub const DEFAULT_USERS: u32 = 100_000;

/// The seed used unless told otherwise: published figures are of this one.
pub const DEFAULT_SEED: u64 = 20_220_224;

/// How many distinct messages a [`Pool`] holds: about 30 MiB, far more than any compressor's window.
pub const POOL_SIZE: u32 = 65_536;

/// Notices with a picture, of a hundred.
const PICTURE_PERCENT: u32 = 3;
/// Notices with a link, of a hundred.
const LINK_PERCENT: u32 = 70;
/// Notices whose name carries the unit concerned, of a hundred.
const UNIT_PERCENT: u32 = 40;
/// Runs of Latin characters, of a hundred runs of text.
const LATIN_PERCENT: u32 = 25;
/// Faces per application: a real one has an icon per state or per tenant.
const FACES: u32 = 16;

/// A sequence of messages, named by its seed and the number of users they go to.
#[derive(Clone, Debug)]
pub struct Corpus {
    seed: u64,
    users: u32,
    han: Vec<char>,
}

/// One notification, as its caller states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The receiver's number in the population, from 0.
    pub user: u32,
    /// The receiver's id: see [`user_id`].
    pub receiver: String,
    /// 32 hex digits, the caller's key.
    pub client_msg_id: String,
    /// The caller's trace id.
    pub operation_id: String,
    /// The name under which the notice is shown.
    pub sender_nickname: String,
    /// The picture shown with that name.
    pub sender_face: String,
    /// The `content` object, compact JSON.
    pub content: String,
}

impl Corpus {
    /// The corpus of `seed` over `users` receivers (at least one).
    #[must_use]
    pub fn new(seed: u64, users: u32) -> Self {
        Self {
            seed,
            users: users.max(1),
            han: words::HAN.chars().collect(),
        }
    }

    /// The seed that names this corpus.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many users it is sent to.
    #[must_use]
    pub fn users(&self) -> u32 {
        self.users
    }

    /// Who message `index` goes to. The first messages go to each user once, in order of number, so that a run can begin
    /// with everybody known; from then on every user is equally likely.
    #[must_use]
    pub fn receiver(&self, index: u64) -> u32 {
        if let Ok(number) = u32::try_from(index)
            && number < self.users
        {
            return number;
        }
        // A stream of its own: the text may change without moving the receivers.
        Rng::new(self.seed ^ 0x7265_6365_6976_6572, index).below(self.users)
    }

    /// The 16-byte key of message `index`; its hex form is the clientMsgID.
    #[must_use]
    pub fn key(&self, index: u64) -> [u8; 16] {
        let mut key = [0; 16];
        Rng::new(self.seed ^ 0x0063_6d73_6769_6400, index).fill(&mut key);
        key
    }

    /// Message `index`.
    #[must_use]
    pub fn message(&self, index: u64) -> Message {
        let mut rng = Rng::new(self.seed, index);
        let user = self.receiver(index);
        let (app, slug) = *rng.pick(&words::APPS);
        let sender = rng.below(words::SENDERS.len() as u32);
        Message {
            user,
            receiver: user_id(user),
            client_msg_id: hex::encode(self.key(index)),
            operation_id: format!("oa-{slug}-{:012}", rng.next_u64() % 1_000_000_000_000),
            sender_nickname: words::SENDERS[sender as usize].to_owned(),
            sender_face: format!("https://static.oa.example.com/sender/{sender:02}.png"),
            content: self.content(&mut rng, app, slug),
        }
    }

    /// The `content` object of one notice.
    fn content(&self, rng: &mut Rng, app: &str, slug: &str) -> String {
        let mut out = String::with_capacity(512);
        let unit = if rng.percent(UNIT_PERCENT) {
            *rng.pick(&words::UNITS)
        } else {
            ""
        };
        let dot = if unit.is_empty() { "" } else { "·" };
        let face = rng.below(FACES);
        let kind = rng.between(1, 40);
        let picture = rng.percent(PICTURE_PERCENT);
        // Infallible: the sink is a String.
        let _ = write!(
            out,
            "{{\"notificationName\":\"{app}{dot}{unit}\",\
             \"notificationFaceURL\":\"https://static.oa.example.com/{slug}/{face:02}.png\",\
             \"notificationType\":{kind},\"text\":\""
        );
        self.text(rng, &mut out);
        out.push_str("\",\"externalUrl\":\"");
        if rng.percent(LINK_PERCENT) {
            let _ = write!(
                out,
                "https://oa.example.com/{slug}/detail?id={}",
                rng.next_u64() % 1_000_000_000
            );
        }
        let _ = write!(out, "\",\"mixType\":{}", u32::from(picture));
        if picture {
            picture_elem(rng, slug, &mut out);
        }
        out.push_str(",\"ex\":\"\"}");
        out
    }

    /// 20 to 60 characters of Chinese and Latin text.
    fn text(&self, rng: &mut Rng, out: &mut String) {
        let mut left = rng.between(20, 60);
        while left > 0 {
            let latin = rng.percent(LATIN_PERCENT);
            let run = rng.between(2, 8).min(left);
            for _ in 0..run {
                if latin {
                    out.push(char::from(*rng.pick(words::LATIN)));
                } else {
                    out.push(*rng.pick(&self.han));
                }
            }
            left -= run;
            if left > 0 && rng.percent(30) {
                out.push(if latin { ' ' } else { ',' });
                left -= 1;
            }
        }
    }
}

/// The three sizes of one picture, as the client's upload reports them.
fn picture_elem(rng: &mut Rng, slug: &str, out: &mut String) {
    let id = format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64());
    let (width, height) = (rng.between(600, 4000), rng.between(400, 3000));
    out.push_str(",\"pictureElem\":{\"sourcePath\":\"\"");
    for (name, divisor) in [
        ("sourcePicture", 1),
        ("bigPicture", 2),
        ("snapshotPicture", 8),
    ] {
        let (w, h) = (width / divisor, height / divisor);
        let size = w * h / rng.between(6, 14);
        let _ = write!(
            out,
            ",\"{name}\":{{\"uuid\":\"{id}\",\"type\":\"png\",\"size\":{size},\"width\":{w},\"height\":{h},\
             \"url\":\"https://static.oa.example.com/{slug}/{id}_{w}.png\"}}"
        );
    }
    out.push('}');
}

/// The id of a user by number: an 11-digit telephone number, as in the published example.
#[must_use]
pub fn user_id(number: u32) -> String {
    format!("187{number:08}")
}

impl Message {
    /// The message as the domain keeps it.
    #[must_use]
    pub fn body(&self) -> Body {
        Body::Message(body::Message {
            client_msg_id: self.client_msg_id.clone(),
            operation_id: self.operation_id.clone(),
            sender_nickname: self.sender_nickname.clone(),
            sender_face_url: self.sender_face.clone(),
            content: self.content.clone(),
            ..body::Message::default()
        })
    }

    /// The bytes of that body: what every system under comparison is given to store.
    #[must_use]
    pub fn body_bytes(&self) -> Vec<u8> {
        codec::encode(&self.body())
    }
}

/// Messages made before the clock starts, so that making them is in nobody's figure.
///
/// Message `i` of a run is entry `i mod len` of the pool with a receiver and a key of its own.
pub struct Pool {
    corpus: Corpus,
    messages: Vec<Message>,
    bodies: Vec<Box<[u8]>>,
    mean_body: f64,
}

impl Pool {
    /// The first `size` messages of `corpus` (at least one).
    #[must_use]
    pub fn new(corpus: Corpus, size: u32) -> Self {
        let messages: Vec<Message> = (0..u64::from(size.max(1)))
            .map(|i| corpus.message(i))
            .collect();
        let bodies: Vec<Box<[u8]>> = messages
            .iter()
            .map(|m| m.body_bytes().into_boxed_slice())
            .collect();
        let mean_body = bodies.iter().map(|b| b.len()).sum::<usize>() as f64 / bodies.len() as f64;
        Self {
            corpus,
            messages,
            bodies,
            mean_body,
        }
    }

    /// The corpus behind it: receivers and keys of any index.
    #[must_use]
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// The prepared message that serves for `index`. Its receiver and key are the pool entry's own: take those of
    /// `index` from [`Pool::corpus`].
    #[must_use]
    pub fn message(&self, index: u64) -> &Message {
        &self.messages[self.slot(index)]
    }

    /// The prepared [`Message::body_bytes`] that serves for `index`.
    #[must_use]
    pub fn body(&self, index: u64) -> &[u8] {
        &self.bodies[self.slot(index)]
    }

    /// The mean length of a body, in bytes.
    #[must_use]
    pub fn mean_body(&self) -> f64 {
        self.mean_body
    }

    fn slot(&self, index: u64) -> usize {
        (index % self.messages.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use waybill_core::body::Body;
    use waybill_core::codec;

    use super::{Corpus, DEFAULT_SEED, DEFAULT_USERS, Pool, words};

    /// Of the first thousand messages of the default corpus, every field, each followed by a line feed. A change
    /// here makes every published figure incomparable: say so in `docs/performance.md`.
    const GOLDEN: &str = "96294d05388dea114c19f59689a4ae533638b43ac67a78310f5f41415718d7a5";

    #[test]
    fn the_default_corpus_is_what_it_was() {
        let corpus = Corpus::new(DEFAULT_SEED, DEFAULT_USERS);
        let mut hash = Sha256::new();
        for i in 0..1000 {
            let m = corpus.message(i);
            let fields = [
                &m.receiver,
                &m.client_msg_id,
                &m.operation_id,
                &m.sender_nickname,
                &m.sender_face,
                &m.content,
            ];
            for field in fields {
                hash.update(field.as_bytes());
                hash.update(b"\n");
            }
        }
        assert_eq!(hex::encode(hash.finalize()), GOLDEN);
    }

    #[test]
    fn every_body_is_json_with_text_of_20_to_60_characters() {
        let corpus = Corpus::new(5, 1000);
        let mut pictures = 0;
        for i in 0..2000 {
            let message = corpus.message(i);
            let content: serde_json::Value = serde_json::from_str(&message.content).unwrap();
            let text = content["text"].as_str().unwrap().chars().count();
            assert!(
                (20..=60).contains(&text),
                "{text} characters in message {i}"
            );
            assert_eq!(
                content["mixType"] == 1,
                content.get("pictureElem").is_some()
            );
            pictures += u32::from(content["mixType"] == 1);
            let Ok(Body::Message(body)) = codec::decode(&message.body_bytes()) else {
                panic!("no message")
            };
            assert_eq!(
                (body.content, body.client_msg_id.len()),
                (message.content, 32)
            );
            assert!(message.user < 1000);
        }
        assert!(pictures > 0);
    }

    #[test]
    fn bodies_are_on_average_as_long_as_the_yardsticks() {
        let mean = Pool::new(Corpus::new(DEFAULT_SEED, DEFAULT_USERS), 10_000).mean_body();
        assert!((440.0..456.0).contains(&mean), "mean body {mean} bytes");
    }

    #[test]
    fn the_vocabulary_does_not_repeat_itself() {
        let mut han: Vec<char> = words::HAN.chars().collect();
        let all = han.len();
        han.sort_unstable();
        han.dedup();
        assert_eq!(han.len(), all);
    }

    #[test]
    fn receivers_are_spread_over_the_population() {
        let corpus = Corpus::new(1, 100);
        let mut seen = [0u32; 100];
        for i in 0..100 {
            seen[corpus.receiver(i) as usize] += 1;
        }
        assert_eq!(seen, [1; 100]);
        for i in 100..10_000 {
            seen[corpus.receiver(i) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| n > 50), "{seen:?}");
    }
}
