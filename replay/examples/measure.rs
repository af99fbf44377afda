//! Makes a data directory of many messages through the writer, with many in flight, or verifies one and prints what each phase
//! took: the figures of `docs/performance.md` for the auditor.
//!
//! `measure make DIR MESSAGES [USERS]`, `measure verify DIR [scan] [memory MIB] [threads N]`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use waybill_core::body::{Body, Message};
use waybill_core::command::{Ask, Command, ConversationKind, Send, UserRef};
use waybill_core::fact::Options as MessageOptions;
use waybill_core::hash::{Domain, HashKey};
use waybill_core::id::{Epoch, Opening, UserNo};
use waybill_core::record::Surface;
use waybill_log::{Log, LogConfig, Options, QueueHandle, ReplyTo, WriterError};
use waybill_replay::progress::Bars;
use waybill_replay::verify;

/// As in the `waybill` program, so that the figures are its figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Accounts that send.
const ACCOUNTS: u64 = 20;

/// Commands under way at a time.
const IN_FLIGHT: u64 = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", dir, messages] => make(Path::new(dir), messages.parse()?, 100_000),
        ["make", dir, messages, users] => make(Path::new(dir), messages.parse()?, users.parse()?),
        ["verify", dir, ref rest @ ..] => check(dir, rest),
        _ => Err("usage: measure make DIR MESSAGES [USERS] | measure verify DIR [scan] [memory MIB] [threads N]".into()),
    }
}

fn check(dir: &str, rest: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut options = verify::Options::new(dir);
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match *word {
            "scan" => options.scan_only = true,
            "memory" => options.memory_mib = rest.next().ok_or("how much memory?")?.parse()?,
            "threads" => options.threads = rest.next().ok_or("how many threads?")?.parse()?,
            other => return Err(format!("{other}?").into()),
        }
    }
    let before = pressure();
    let report = verify::run(&options, &mut *Bars::on_stderr(false))?;
    print!("{report}");
    println!("cpu pressure before: {before}; after: {}", pressure());
    println!("peak resident: {}", status("VmHWM"));
    std::process::exit(i32::from(report.exit_code()));
}

fn pressure() -> String {
    let text = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

fn status(field: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(field));
    line.unwrap_or("unknown").to_owned()
}

fn make(dir: &Path, messages: u64, users: u64) -> Result<(), Box<dyn Error>> {
    let options = Options {
        config: LogConfig::default(),
        ..Options::default()
    };
    let (log, queue) = Log::open(dir, options, &mut |_, _| {})?;
    let started = Instant::now();
    drop(queue.ask_blocking(command(Ask::Found {
        epoch: Epoch::new(1, [7; 14]),
        rules: 1,
    }))?);
    let keys = HashKey::new(&[3; 32]);
    let answered = Arc::new(AtomicU64::new(0));
    for n in 0..messages {
        let command = command(Ask::Send(message(&keys, n, users)));
        while n - answered.load(Ordering::Acquire) >= IN_FLIGHT {
            std::thread::sleep(Duration::from_micros(200));
        }
        submit(&queue, command, &answered)?;
    }
    while answered.load(Ordering::Acquire) < messages {
        std::thread::sleep(Duration::from_millis(1));
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{messages} messages in {seconds:.1} s: {:.0}/s",
        messages as f64 / seconds
    );
    drop(queue);
    log.join()?;
    Ok(())
}

fn submit(
    queue: &QueueHandle,
    command: Command,
    answered: &Arc<AtomicU64>,
) -> Result<(), Box<dyn Error>> {
    loop {
        let count = Arc::clone(answered);
        let reply = ReplyTo::new(move |_| {
            count.fetch_add(1, Ordering::Release);
        });
        match queue.submit(command.clone(), None, reply) {
            Ok(()) => return Ok(()),
            Err(WriterError::Busy) => std::thread::sleep(Duration::from_micros(500)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn command(ask: Ask) -> Command {
    Command {
        by: UserNo(0),
        surface: Surface::OpenImV2,
        ask,
    }
}

fn user(keys: &HashKey, id: String) -> UserRef {
    let hash = keys.hash(Domain::User, &[id.as_bytes()]);
    UserRef {
        opening: Opening(hash.0),
        id,
        hash,
    }
}

/// A number that looks random, the same in every run (SplitMix64).
fn scatter(n: u64) -> u64 {
    let mut word = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The n-th notice: about 450 bytes, most of them the same in all, as notices are.
fn message(keys: &HashKey, n: u64, users: u64) -> Send {
    let random = scatter(n);
    let sender = user(keys, format!("account-{}", random % ACCOUNTS));
    let receiver = user(keys, format!("user-{:06}", (random >> 8) % users));
    let content = format!(
        "{{\"notificationName\":\"Leave request\",\"notificationFaceURL\":\"https://oa.example.com/faces/{}.png\",\
         \"notificationType\":{},\"text\":\"Request {:016x}{:016x} waits for you\",\
         \"externalUrl\":\"https://oa.example.com/leave/{n}\",\"mixType\":0,\"pictureElem\":null,\"ex\":\"\"}}",
        random % 50,
        random % 7,
        scatter(random),
        scatter(random + 1),
    );
    let body = Body::Message(Message {
        operation_id: format!("{:016x}", scatter(random + 2)),
        sender_nickname: "Office".to_owned(),
        sender_face_url: "https://oa.example.com/faces/office.png".to_owned(),
        content,
        address: "10.0.0.1".to_owned(),
        ..Message::default()
    });
    let mut opening = [0; 16];
    opening[..8].copy_from_slice(&scatter(random + 3).to_be_bytes());
    opening[8..].copy_from_slice(&scatter(random + 4).to_be_bytes());
    let body = body.seal(Opening(opening));
    Send {
        key: Some(keys.dedup(&sender.id, &format!("{n}"), &[&[2], receiver.id.as_bytes()])),
        digest: keys.digest(&[&body.bytes]),
        terms: None,
        sender,
        receiver,
        kind: ConversationKind::Notification,
        account: true,
        content_type: 1400,
        notification_type: (random % 7) as i32,
        options_off: MessageOptions::default(),
        body,
    }
}
