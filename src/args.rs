//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use waybill_core::limits::MAX_RESTORE_GAP;

/// An event-sourced notification and messaging server.
#[derive(Parser)]
#[command(name = "waybill", version, about, after_help = EXIT_CODES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 `replay verify` found something; 2 wrong usage or configuration, or `replay verify` cannot tell; \
3 the server refused or cannot be reached; 4 the data directory is in use, of a newer format, or corrupt; \
70 the server stopped because a store failed.";

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(Serve),
    /// Issue a token for a user, over the server's API, and print it.
    Token(Token),
    /// Send one message, over the server's API.
    Send(Send),
    /// Pull a user's log from the server.
    Pull(Pull),
    /// Run a benchmark; `waybill bench storage --help` tells its options.
    Bench(Bench),
    /// Look at a ledger without a server.
    #[command(subcommand)]
    Replay(Replay),
    /// Go on with a data directory that was put back from a copy, as another history; before the server is started.
    Restore(Restore),
}

/// `waybill serve`.
#[derive(clap::Args)]
pub struct Serve {
    /// Configuration file (TOML). Unknown keys are refused.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print every configuration key with its meaning and its environment variable, and exit.
    #[arg(long)]
    pub keys: bool,
    /// Data directory [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address for HTTP; may be given several times [default: 127.0.0.1:10002 and 127.0.0.1:10000].
    #[arg(long, value_name = "ADDR")]
    pub http: Vec<SocketAddr>,
    /// Address for QUIC [default: 127.0.0.1:10003].
    #[arg(long, value_name = "ADDR")]
    pub quic: Option<SocketAddr>,
    /// Address for WebSocket, for OpenIM's client SDKs [default: 127.0.0.1:10001].
    #[arg(long, value_name = "ADDR")]
    pub ws: Option<SocketAddr>,
    /// Address for health, readiness and metrics [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDR")]
    pub ops: Option<SocketAddr>,
}

/// How a command reaches the server.
#[derive(clap::Args)]
pub struct Server {
    /// The server's HTTP address.
    #[arg(
        long,
        default_value = "http://127.0.0.1:10002",
        env = "WAYBILL_SERVER",
        value_name = "URL"
    )]
    pub server: String,
    /// The server's data directory, where `secrets/admin.token` is read.
    #[arg(long, default_value = "./data", value_name = "DIR")]
    pub data: PathBuf,
    /// A token to use instead of `secrets/admin.token`.
    #[arg(long, env = "WAYBILL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// `waybill token`.
#[derive(clap::Args)]
pub struct Token {
    /// For whom.
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// Platform number as OpenIM counts them: 1 IOS, 2 Android, 3 Windows, 4 OSX, 5 Web, 6 MiniWeb, 7 Linux, 8 admin.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub platform: u8,
    /// How long the token shall live, in seconds [default: what the server is configured for].
    #[arg(long, value_name = "SECONDS")]
    pub expires_in: Option<u64>,
    /// The way to the server.
    #[command(flatten)]
    pub server: Server,
    /// Print the whole answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `waybill send`.
#[derive(clap::Args)]
pub struct Send {
    /// The receiver.
    #[arg(long, value_name = "ID")]
    pub to: String,
    /// Sends a text (contentType 101) or, with --name, a notification (contentType 1400).
    #[arg(long, required_unless_present = "content")]
    pub text: Option<String>,
    /// The notification's name: makes the message a notification.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The notification's picture.
    #[arg(long, value_name = "URL", requires = "name")]
    pub face: Option<String>,
    /// The notification's type.
    #[arg(long, default_value_t = 1, requires = "name", value_name = "N")]
    pub notification_type: i32,
    /// A whole `content` object as JSON, instead of --text.
    #[arg(
        long,
        conflicts_with = "text",
        requires = "content_type",
        value_name = "JSON"
    )]
    pub content: Option<String>,
    /// The contentType of --content.
    #[arg(long, requires = "content", value_name = "N")]
    pub content_type: Option<u32>,
    /// In whose name [default: the owner of the token].
    #[arg(long, value_name = "ID")]
    pub sender: Option<String>,
    /// Idempotency key: the same send with the same key is done once.
    #[arg(long)]
    pub key: Option<String>,
    /// The way to the server.
    #[command(flatten)]
    pub server: Server,
    /// Print the whole answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `waybill pull`.
#[derive(clap::Args)]
pub struct Pull {
    /// Whose log.
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// From after this seq.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    pub after: u64,
    /// Stay and print what comes.
    #[arg(long)]
    pub follow: bool,
    /// Over QUIC instead of HTTP.
    #[arg(long)]
    pub quic: bool,
    /// The server's QUIC address.
    #[arg(long, default_value = "127.0.0.1:10003", value_name = "ADDR")]
    pub quic_server: SocketAddr,
    /// SHA-256 of the server's QUIC certificate [default: what --data/secrets/quic.fingerprint says].
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Option<String>,
    /// The way to the server. The token must be the user's own or a manager's.
    #[command(flatten)]
    pub server: Server,
    /// Print each entry as a line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// `waybill bench`.
#[derive(clap::Args)]
pub struct Bench {
    /// Which one.
    pub program: Benchmark,
    /// Its options.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}

/// The benchmark programs.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Benchmark {
    /// The engine without a network.
    Storage,
    /// Open loop against a running server.
    Load,
    /// Side by side with other systems.
    Compare,
}

impl Benchmark {
    /// The program's file name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Load => "load",
            Self::Compare => "compare",
        }
    }
}

/// `waybill replay`.
#[derive(Subcommand)]
pub enum Replay {
    /// Check that a ledger is whole and that its views follow from it.
    Verify(Verify),
}

/// `waybill restore`.
#[derive(clap::Args)]
pub struct Restore {
    /// The server's configuration file (TOML): the data directory, `restore.gap` and `restore.erasures` are taken from it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, in which the copy stands and no server runs [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How many places each log leaves out: more than any log can have grown since the copy was made [default: 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_RESTORE_GAP))]
    pub gap: Option<u64>,
    /// Number of the new epoch: one more than that of the copy, unless the same copy was put back before and was served from; then
    /// one more than that time.
    #[arg(long, value_name = "N")]
    pub number: Option<u16>,
    /// The register of the erasures that were made since the copy, to make them again [default: DIR/erasures, if it is there].
    #[arg(long, value_name = "FILE")]
    pub erasures: Option<PathBuf>,
    /// Print what was done as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `waybill replay verify`.
#[derive(clap::Args)]
pub struct Verify {
    /// The data directory, or a snapshot of one. A running server's own directory is in use: ask its ops listener for a
    /// snapshot (`POST /snapshot`) and verify that.
    #[arg(long, default_value = "./data", value_name = "DIR")]
    pub data: PathBuf,
    /// Only read the ledger; do not fold it and compare views.
    #[arg(long)]
    pub scan: bool,
    /// Where the fresh fold is kept while it is compared [default: beside the data directory].
    #[arg(long, value_name = "DIR")]
    pub tmp: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}
