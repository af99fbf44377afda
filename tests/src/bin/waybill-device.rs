//! `waybill-device`: a device of a user, as an app built on the client library would be. It keeps the user's log in a file, and
//! sends numbered messages from its outbox until it is killed, which is what it is for. It prints what it knows for certain:
//! `queued N` when message N is in the outbox, `closed` when it has ended well.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use waybill_client::{Client, Config, End, Message, Trust};
use waybill_core::id::Seq;

#[derive(Parser)]
#[command(about = "A device that keeps a log and sends messages, to be killed. For tests only")]
struct Arguments {
    /// The file
    #[arg(long)]
    store: PathBuf,
    /// The user
    #[arg(long)]
    user: String,
    /// A token of the user
    #[arg(long)]
    token: String,
    /// Who gets the messages
    #[arg(long)]
    to: String,
    /// The server's HTTP address
    #[arg(long)]
    http: String,
    /// The server's QUIC address; none: over HTTP only
    #[arg(long, requires = "fingerprint")]
    quic: Option<String>,
    /// SHA-256 of the server's QUIC certificate
    #[arg(long)]
    fingerprint: Option<String>,
    /// Only by long poll
    #[arg(long)]
    poll: bool,
    /// The number of the first message
    #[arg(long)]
    from: u64,
    /// Send nothing new; end when the log is stored up to here and the outbox is empty
    #[arg(long)]
    until: Option<u64>,
}

type Failure = Box<dyn std::error::Error>;

fn config(arguments: &Arguments) -> Result<Config, Failure> {
    let mut config = Config::new(&arguments.user, &arguments.token)
        .device("device-1", 2)
        .store(&arguments.store)
        .http(&arguments.http)
        .web_socket(!arguments.poll)
        .backoff(Duration::from_millis(10), Duration::from_millis(200))
        .acknowledge(Duration::from_millis(20), 16);
    if let (Some(quic), Some(fingerprint)) = (&arguments.quic, &arguments.fingerprint) {
        config = config.quic(quic, Trust::Pinned(fingerprint.parse()?));
    }
    Ok(config)
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let client = Client::open(config(&arguments)?).await?;
    if let Some(until) = arguments.until {
        return drain(client, Seq(until)).await;
    }
    for number in arguments.from.. {
        // The key is the caller's for even numbers, so that one may ask again; and the library's for odd ones.
        let mut message = Message::text(&arguments.to, &number.to_string());
        if number % 2 == 0 {
            message = message.key(format!("device-{number}"));
        }
        client.enqueue(message).await?;
        say(&format!("queued {number}"))?;
        tokio::time::sleep(Duration::from_millis(number % 4)).await;
    }
    Ok(())
}

async fn drain(client: Client, until: Seq) -> Result<(), Failure> {
    while client.cursor() < until || !client.outbox().await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let end = client.close().await;
    if end != End::Closed {
        return Err(end.into());
    }
    say("closed")
}
