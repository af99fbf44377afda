//! Sends a text, exactly once, however often it is started with the same key, and whatever becomes of the network meanwhile:
//!
//! ```text
//! cargo run --release -p waybill-client --example send -- \
//!     ann "$(waybill token --user ann)" ann.sqlite bob "hello" greeting-1
//! ```

use std::time::Duration;

use waybill_client::{Client, Config, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or(format!("{name} is missing"));
    let (user, token, file) = (
        argument("the user")?,
        argument("the token")?,
        argument("the file")?,
    );
    let (to, text, key) = (
        argument("the receiver")?,
        argument("the text")?,
        argument("the key")?,
    );
    let config = Config::new(user, token)
        .device("send-example", 7)
        .store(file)
        .http("http://127.0.0.1:10002");
    let client = Client::open(config).await?;

    // From here on it will be sent, if not by this process then by the next one with this file.
    let key = client.enqueue(Message::text(&to, &text).key(key)).await?;
    println!("{key} is in the outbox");
    // The same message with the same key is the same one: this only waits for the answer.
    let sending = client.send(Message::text(&to, &text).key(key));
    match tokio::time::timeout(Duration::from_secs(30), sending).await {
        Ok(sent) => println!("{} is on the server's disk", sent?.server_msg_id),
        Err(_) => println!("not yet; it stays in the outbox"),
    }
    client.close().await;
    Ok(())
}
