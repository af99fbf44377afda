//! Follows a user's log, keeps it in a file, and prints what comes until Ctrl-C:
//!
//! ```text
//! cargo run --release -p waybill-client --example follow -- \
//!     ann "$(waybill token --user ann)" "$(cat data/secrets/quic.fingerprint)" ann.sqlite
//! ```
//!
//! Started again it goes on where it was, also after it was killed.

use waybill_client::{Client, Config, Event, Trust};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or(format!("{name} is missing"));
    let (user, token) = (argument("the user")?, argument("the token")?);
    let (pin, file) = (argument("the fingerprint")?, argument("the file")?);
    let config = Config::new(user, token)
        .device("follow-example", 7)
        .store(file)
        .quic("127.0.0.1:10003", Trust::Pinned(pin.parse()?))
        .http("http://127.0.0.1:10002");
    let client = Client::open(config).await?;
    println!("{} entries were here already", client.cursor());

    let mut events = client.events();
    let mut log = client.follow(client.cursor());
    loop {
        tokio::select! {
            entries = log.next() => {
                let Some(entries) = entries? else { break };
                for entry in entries {
                    match entry.message() {
                        Some(message) => println!("{} from {}: {}", entry.seq, message.sender,
                            message.content.as_deref().unwrap_or("(erased)")),
                        None => println!("{} {}", entry.seq, entry.json()),
                    }
                }
            }
            Some(event) = events.next() => match event {
                Event::Online(transport) => eprintln!("online over {transport:?}"),
                Event::Offline { error, retry_in } => eprintln!("offline: {error}; again in {retry_in:?}"),
                _ => {}
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    eprintln!("{}", client.close().await);
    Ok(())
}
