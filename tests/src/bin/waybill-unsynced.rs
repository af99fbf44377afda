//! `waybill-unsynced`: the server without the one thing that makes an answer true, the sync of the ledger. It exists to show
//! that the tests of power cuts can fail. It takes the flags of `waybill serve` that those tests use, and must know no more
//! of the product than how to start it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use waybill_gateway::config::{Config, Overrides};
use waybill_gateway::server::{Server, StartOptions};
use waybill_log::store::Durability;

#[derive(Parser)]
#[command(about = "The server without syncs: it loses what it has answered. For tests only")]
enum Arguments {
    /// Serves, as `waybill serve` does, and loses messages when the power fails
    Serve {
        /// Configuration file
        #[arg(long)]
        config: PathBuf,
        /// Data directory
        #[arg(long)]
        data: PathBuf,
        /// Address for HTTP
        #[arg(long)]
        http: SocketAddr,
        /// Address for QUIC
        #[arg(long)]
        quic: SocketAddr,
        /// Address for WebSocket
        #[arg(long)]
        ws: SocketAddr,
        /// Address for health
        #[arg(long)]
        ops: SocketAddr,
    },
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let Arguments::Serve {
        config,
        data,
        http,
        quic,
        ws,
        ops,
    } = arguments;
    let overrides = Overrides {
        data: Some(data),
        http: vec![http],
        quic: Some(quic),
        ws: Some(ws),
        ops: Some(ops),
    };
    let config = Config::load(Some(&config), [], overrides)?;
    // Before anybody is told that it serves.
    let mut stop = signal(SignalKind::terminate())?;
    let mut options = StartOptions::default();
    options.log.durability = Durability::None;
    let server = Server::start(config, options).await?;
    let started = server.started();
    println!("http  http://{}", started.http[0]);
    println!("quic  {}", started.quic);
    println!("ws    ws://{}", started.ws);
    println!("ops   http://{}", started.ops);
    let stopped = async move {
        stop.recv().await;
    };
    server.run(stopped).await?;
    Ok(())
}

#[tokio::main]
async fn main() {
    if let Err(error) = serve(Arguments::parse()).await {
        eprintln!("waybill-unsynced: {error}");
        std::process::exit(1);
    }
}
