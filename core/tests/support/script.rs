//! The fixed commands behind the golden ledger: every kind of command, every kind of answer that rules version 1 has. Never
//! changed once released; what comes later gets a script of its own.

use waybill_core::body::{Body, Message, OfflinePush, Profile};
use waybill_core::command::{Ask, Command, ConversationKind, Send, Stamped, Unknown, UserRef};
use waybill_core::fact::{Options, Revoked};
use waybill_core::hash::{Domain, HashKey, commitment};
use waybill_core::id::{DeviceNo, Epoch, KeyedHash, Opening, Position, Seq, Time, UserNo};
use waybill_core::policy::{Policy, UnknownReceiver};
use waybill_core::record::Surface;

/// The published secret of the golden files' keyed hashes: 00 01 … 1f.
pub const HASH_SECRET: [u8; 32] = ascending();

/// The published secret of the golden files' message ids: 00 01 … 0f, as in FIPS 197.
pub const ID_SECRET: [u8; 16] = ascending();

/// The history of the golden files.
pub fn epoch() -> Epoch {
    Epoch::new(1, *b"golden ledger!")
}

/// The epoch of this number, after a restore.
pub fn restored_epoch(number: u16) -> Epoch {
    Epoch::new(number, *b"after restores")
}

pub const fn ascending<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
}

const MANAGER: &str = "openIM123456";
const ZHANG: &str = "18712345678";
const LI: &str = "李四";
const NEWCOMER: &str = "newcomer";

/// Writes down commands, one after the other.
pub struct Script {
    key: HashKey,
    clock: u64,
    openings: u64,
    commands: Vec<Stamped>,
}

impl Script {
    /// Before the first command.
    pub fn new() -> Self {
        Self {
            key: HashKey::new(&HASH_SECRET),
            clock: 1_700_000_000_000,
            openings: 0,
            commands: Vec::new(),
        }
    }

    /// An opening that nothing else has: half of a hash of a counter.
    pub fn opening(&mut self) -> Opening {
        self.openings += 1;
        let hash = commitment(&Opening([0; 16]), &self.openings.to_be_bytes());
        let (opening, _) = hash.0.split_first_chunk().unwrap();
        Opening(*opening)
    }

    pub fn user(&mut self, id: &str) -> UserRef {
        UserRef {
            id: id.to_owned(),
            hash: self.key.hash(Domain::User, &[id.as_bytes()]),
            opening: self.opening(),
        }
    }

    pub fn token(&self, text: &str) -> KeyedHash {
        self.key.hash(Domain::Token, &[text.as_bytes()])
    }

    pub fn key(&self) -> &HashKey {
        &self.key
    }

    /// Lets time pass, in milliseconds.
    pub fn later(&mut self, by: u64) {
        self.clock += by;
    }

    /// The time of the next command.
    pub fn now(&self) -> u64 {
        self.clock
    }

    pub fn ask(&mut self, by: u64, surface: Surface, ask: Ask) {
        self.commands.push(Stamped {
            time: Time(self.clock),
            command: Command {
                by: UserNo(by),
                surface,
                ask,
            },
        });
    }

    pub fn server(&mut self, ask: Ask) {
        self.clock += 7;
        self.ask(0, Surface::Server, ask);
    }

    pub fn policy(&mut self, unknown_receiver: UnknownReceiver) {
        self.server(Ask::ChangePolicy(Policy { unknown_receiver }));
    }

    pub fn register(&mut self, id: &str, profile: Profile) {
        let user = self.user(id);
        let opening = self.opening();
        let profile = Body::Profile(profile).seal(opening);
        self.clock += 1_000;
        self.ask(1, Surface::OpenImV2, Ask::Register { user, profile });
    }

    pub fn issue(&mut self, id: &str, unknown: Unknown, platform: u8, text: &str) {
        self.log_in(id, unknown, (platform, text), Vec::new());
    }

    /// Issues a token for a platform that ends earlier ones.
    fn log_in(
        &mut self,
        id: &str,
        unknown: Unknown,
        (platform, text): (u8, &str),
        ends: Vec<Revoked>,
    ) {
        let ask = Ask::IssueToken {
            user: self.user(id),
            unknown,
            platform,
            token: self.token(text),
            expires: Time(self.clock + 7_776_000_000),
            ends,
        };
        self.clock += 11;
        self.ask(1, Surface::OpenImV2, ask);
    }

    pub fn see(&mut self, user: u64, id: &str, device: &str, platform: u8) {
        let opening = self.opening();
        let hash = self
            .key
            .hash(Domain::Device, &[id.as_bytes(), device.as_bytes()]);
        let body = Body::Device {
            id: device.to_owned(),
        };
        let ask = Ask::SeeDevice {
            user: UserNo(user),
            id: hash,
            platform,
            body: body.seal(opening),
        };
        self.ask(user, Surface::NativeQuic, ask);
    }

    pub fn reach(&mut self, cursors: &[(u64, u32, u64)]) {
        let cursors = cursors
            .iter()
            .map(|(user, device, seq)| (UserNo(*user), DeviceNo(*device), Seq(*seq)));
        let cursors = cursors.collect();
        self.server(Ask::Reach { cursors });
    }

    fn revoke(&mut self, user: u64, which: Revoked) {
        let user = UserNo(user);
        self.server(Ask::RevokeTokens { user, which });
    }

    fn erase(&mut self, position: u64) {
        let position = Position(position);
        self.server(Ask::Erase { position });
    }

    /// Sends a message; the request is all that the message says, and who to.
    pub fn send(&mut self, by: u64, surface: Surface, letter: &Letter, message: Message) {
        let (sender, receiver) = (self.user(letter.from), self.user(letter.to));
        let kind = match letter.kind {
            ConversationKind::Single => [1],
            ConversationKind::Notification => [4],
        };
        let key = [&message.key, &message.client_msg_id]
            .into_iter()
            .find(|key| !key.is_empty())
            .map(|key| {
                let conversation: [&[u8]; 2] = [&kind, letter.to.as_bytes()];
                self.key.dedup(letter.from, key, &conversation)
            });
        let digest = self.key.digest(&[
            letter.from.as_bytes(),
            letter.to.as_bytes(),
            &kind,
            message.content.as_bytes(),
        ]);
        let ask = Ask::Send(Send {
            sender,
            receiver,
            kind: letter.kind,
            account: letter.account,
            content_type: letter.content_type,
            notification_type: letter.notification_type,
            options_off: letter.options_off,
            key,
            digest,
            terms: None,
            body: Body::Message(message).seal(self.opening()),
        });
        self.ask(by, surface, ask);
    }
}

/// The envelope of a message.
pub struct Letter<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub kind: ConversationKind,
    pub account: bool,
    pub content_type: u32,
    pub notification_type: i32,
    pub options_off: Options,
}

impl<'a> Letter<'a> {
    pub fn chat(from: &'a str, to: &'a str) -> Self {
        Self {
            from,
            to,
            kind: ConversationKind::Single,
            account: false,
            content_type: 101,
            notification_type: 0,
            options_off: Options(0),
        }
    }

    pub fn notice(to: &'a str) -> Self {
        Self {
            from: MANAGER,
            to,
            kind: ConversationKind::Notification,
            account: true,
            content_type: 1400,
            notification_type: 1,
            options_off: Options(0b1000),
        }
    }
}

pub fn text(text: &str) -> Message {
    Message {
        content: format!("{{\"text\":\"{text}\"}}"),
        operation_id: "op-1".to_owned(),
        address: "192.0.2.7".to_owned(),
        sender_platform: 1,
        ..Message::default()
    }
}

/// A notice as the OpenIM v2 push API takes it, with all that it may say.
pub fn notice(number: u64) -> Message {
    let content = format!(
        "{{\"notificationName\":\"公文管理\",\"notificationFaceURL\":\"http://www.head.com\",\
         \"notificationType\":1,\"text\":\"通知 {number}\",\"externalUrl\":\"http://www.baidu.com\",\
         \"mixType\":0,\"ex\":\"\",\"unknown\":[1,2.50,null]}}"
    );
    Message {
        client_msg_id: format!("notice-{number}"),
        key: String::new(),
        operation_id: "Oa notification operationID111".to_owned(),
        sender_nickname: "系统通知2".to_owned(),
        sender_face_url: "http://www.head.com".to_owned(),
        sender_platform: 2,
        content,
        offline_push: Some(OfflinePush {
            title: "标题".to_owned(),
            desc: "新通知".to_owned(),
            ex: "{}".to_owned(),
            ios_push_sound: "default".to_owned(),
            ios_badge_count: true,
        }),
        created: Some(Time(1_699_999_999_123)),
        address: "2001:db8::1".to_owned(),
    }
}

/// All commands, in order.
pub fn commands() -> Vec<Stamped> {
    let mut script = Script::new();
    beginnings(&mut script);
    chats(&mut script);
    devices(&mut script);
    notices(&mut script);
    endings(&mut script);
    super::script_many::many(&mut script, LAST_BEFORE_MANY);
    super::script_directory::directory(&mut script, LAST_BEFORE_DIRECTORY);
    super::script_status::status(&mut script, LAST_BEFORE_MANY);
    super::script_terms::terms(&mut script, LAST_BEFORE_TERMS);
    super::script_restore::restores(&mut script, LAST_BEFORE_RESTORES);
    logins(&mut script);
    script.commands
}

fn beginnings(script: &mut Script) {
    // Refused: nothing has begun; unknown rules.
    script.reach(&[]);
    let found = |rules| Ask::Found {
        epoch: epoch(),
        rules,
    };
    script.server(found(u32::MAX));
    script.server(found(1));
    // Refused: it has begun; no such rules.
    script.server(found(1));
    script.server(Ask::ChangeRules { rules: u32::MAX });
    script.policy(UnknownReceiver::Refuse);
    script.policy(UnknownReceiver::Refuse);
    let profile = |nickname: &str, rest: &str| Profile {
        nickname: nickname.to_owned(),
        face_url: "http://www.head.com/1.png".to_owned(),
        rest: rest.to_owned(),
    };
    script.register(MANAGER, profile("系统通知", ""));
    script.register(ZHANG, profile("张三", "{\"gender\":1,\"ex\":\"x\"}"));
    script.register(ZHANG, profile("张三", ""));
    // Refused: an unknown receiver. Then such are welcome.
    script.send(1, Surface::OpenImV2, &Letter::notice(LI), notice(0));
    script.policy(UnknownReceiver::Accept);
    script.issue(MANAGER, Unknown::Refuse, 8, "admin token");
    script.issue(ZHANG, Unknown::Refuse, 1, "ios token");
    script.issue(ZHANG, Unknown::Refuse, 2, "android token");
    script.issue(ZHANG, Unknown::Refuse, 2, "android token");
    script.issue("ghost", Unknown::Refuse, 5, "ghost token");
    script.issue(LI, Unknown::See, 5, "web token");
}

fn chats(script: &mut Script) {
    let http = Surface::NativeHttp;
    script.clock += 60_000;
    script.send(2, http, &Letter::chat(ZHANG, LI), text("你好"));
    let mut answer = text("hello");
    answer.key = "key-1".to_owned();
    let mut other = text("something else");
    other.key = "key-1".to_owned();
    let chat = Letter::chat(LI, ZHANG);
    script.send(3, http, &chat, answer.clone());
    // The same again, the same key for something else, the same key to somebody else.
    script.send(3, http, &chat, answer.clone());
    script.send(3, http, &chat, other);
    script.send(3, Surface::NativeQuic, &Letter::chat(LI, LI), answer);
    // The clock goes back; a long text; a negative type and many options off.
    script.clock -= 5_000;
    let odd = Letter {
        notification_type: -300,
        options_off: Options(0b1_0000_0101),
        content_type: 70_000,
        ..Letter::chat(ZHANG, LI)
    };
    script.send(2, http, &odd, text(&"长".repeat(120)));
    script.clock += 5_000;
}

fn devices(script: &mut Script) {
    script.see(2, ZHANG, "phone", 1);
    script.see(2, ZHANG, "phone", 1);
    script.see(2, ZHANG, "pad", 1);
    script.see(9, "nobody", "phone", 1);
    // One more than are kept: the quietest makes room. The first has spoken, so it is the second.
    script.see(3, LI, "browser-0", 5);
    script.reach(&[(3, 1, 2)]);
    for number in 1..=64 {
        script.clock += 1;
        script.see(3, LI, &format!("browser-{number}"), 5);
    }
}

fn notices(script: &mut Script) {
    let v2 = Surface::OpenImV2;
    script.clock += 100;
    script.send(1, v2, &Letter::notice(ZHANG), notice(1));
    script.send(1, v2, &Letter::notice(ZHANG), notice(1));
    script.send(1, v2, &Letter::notice(NEWCOMER), notice(2));
    // The clock stands still: shown times run ahead. The receiver's log passes its first chain mark.
    for number in 3..=70 {
        let mut notice = notice(number);
        if number % 2 == 1 {
            notice.client_msg_id.clear();
        }
        script.send(1, v2, &Letter::notice(ZHANG), notice);
    }
    // An account with a device gets an echo.
    script.see(1, MANAGER, "console", 8);
    script.send(1, v2, &Letter::notice(ZHANG), notice(71));
    script.send(1, v2, &Letter::notice(MANAGER), notice(72));
    let by_chat = Letter {
        account: true,
        ..Letter::chat(MANAGER, NEWCOMER)
    };
    script.send(1, v2, &by_chat, text("welcome"));
    // Out of order, twice, beyond the head, of unknown devices and users, nothing new.
    let cursors = [
        (3, 66, 1),
        (2, 2, 70),
        (2, 1, 60),
        (2, 1, 65),
        (2, 1, 3),
        (1, 1, 1),
        (3, 1, 2),
        (3, 40, 400),
        (2, 9, 1),
        (77, 1, 1),
    ];
    script.reach(&cursors);
    script.reach(&cursors);
}

fn endings(script: &mut Script) {
    let android = script.token("android token");
    script.revoke(2, Revoked::One(android));
    script.revoke(2, Revoked::One(android));
    script.revoke(2, Revoked::Platform(2));
    script.revoke(2, Revoked::Platform(1));
    script.revoke(3, Revoked::All);
    script.revoke(50, Revoked::All);
    // Issued after that, so not revoked; and the same text for another user.
    script.issue(LI, Unknown::Refuse, 5, "second web token");
    script.issue(ZHANG, Unknown::Refuse, 5, "second web token");
    // Every kind of body, one twice, two that there are not.
    for position in ERASED {
        script.erase(position);
    }
    script.erase(ERASED[0]);
    script.erase(1);
    script.erase(100_000);
    script.clock += 86_400_000;
    script.send(
        2,
        Surface::NativeQuic,
        &Letter::chat(ZHANG, LI),
        text("晚安"),
    );
}

/// Tokens that take the place of earlier ones.
fn logins(script: &mut Script) {
    let phones = || vec![Revoked::Platform(1), Revoked::Platform(2)];
    script.log_in(LI, Unknown::Refuse, (1, "a phone"), phones());
    script.log_in(LI, Unknown::Refuse, (2, "another phone"), phones());
    // Asked twice: nothing ends.
    script.log_in(LI, Unknown::Refuse, (2, "another phone"), phones());
    let web = script.token("second web token");
    script.log_in(
        LI,
        Unknown::Refuse,
        (5, "third web token"),
        vec![Revoked::One(web)],
    );
    script.log_in(
        LI,
        Unknown::Refuse,
        (5, "fourth web token"),
        vec![Revoked::One(web)],
    );
    script.log_in(
        ZHANG,
        Unknown::Refuse,
        (5, "the only one"),
        vec![Revoked::All],
    );
    script.log_in(
        "by logging in",
        Unknown::See,
        (5, "the first one"),
        vec![Revoked::All],
    );
    script.log_in("stranger", Unknown::Refuse, (5, "none"), vec![Revoked::All]);
    script.log_in(LI, Unknown::Refuse, (5, "too many"), vec![Revoked::All; 9]);
}

/// The last position that the commands before those of `script_many` make.
const LAST_BEFORE_MANY: u64 = 170;

/// The last position that the commands before those of `script_directory` make.
const LAST_BEFORE_DIRECTORY: u64 = 202;

/// The last position that the commands before those of `script_terms` make.
const LAST_BEFORE_TERMS: u64 = 243;

/// Positions whose bodies are erased: an id, a profile, a message, a device's id.
pub const ERASED: [u64; 4] = [11, 6, 14, 19];

/// The last position before the restores.
const LAST_BEFORE_RESTORES: u64 = 270;
