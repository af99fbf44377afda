//! `waybill-faultfs`: the fault layer of the tests by hand, and under benchmarks. It shows one directory at
//! another, slows its syncs down, and forgets what was not synced when it is told that the power failed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use waybill_tests::faultfs::{FaultFs, Mounted, Options, Survivors};

/// What it says about itself, below the options.
const COMMANDS: &str = "\
On standard input: `cut` forgets what was not synced and goes on, `off` makes every request fail until
`on`, `delay N` sets the time of a sync in milliseconds, `space N` and `space none` limit the growth of
files in bytes, `fail N` makes the sync after the next N fail, `quit` unmounts. SIGUSR1 is `cut`;
SIGINT and SIGTERM are `quit`.";

#[derive(Parser)]
#[command(about = "Shows a directory at a mountpoint and simulates power cuts and slow syncs", after_help = COMMANDS)]
struct Arguments {
    /// The directory that holds the files
    #[arg(long)]
    backing: PathBuf,
    /// The directory to show them at
    #[arg(long)]
    mount: PathBuf,
    /// How long each fsync and fdatasync takes
    #[arg(long, value_name = "MS", default_value_t = 0)]
    fsync_delay_ms: u64,
    /// How many bytes files may grow by before ENOSPC
    #[arg(long, value_name = "BYTES")]
    space: Option<u64>,
    /// Syncs say that they succeeded, and nothing is durable
    #[arg(long)]
    lying_syncs: bool,
    /// What of the unsynced changes outlives a cut
    #[arg(long, value_enum, default_value_t = Torn::Nothing)]
    survivors: Torn,
    /// Chooses the survivors; taken from the clock, and printed, when it is not given
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Torn {
    /// The worst case
    Nothing,
    /// The first sectors of each file
    Prefix,
    /// Any sectors
    Scatter,
}

/// What is asked for while it runs.
#[derive(Debug, PartialEq, Eq)]
enum Order {
    Cut,
    Off,
    On,
    Delay(u64),
    Space(Option<u64>),
    Fail(u64),
    Quit,
}

impl Order {
    fn parse(line: &str) -> Option<Order> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(match words[..] {
            ["cut"] => Order::Cut,
            ["off"] => Order::Off,
            ["on"] => Order::On,
            ["quit"] => Order::Quit,
            ["delay", milliseconds] => Order::Delay(milliseconds.parse().ok()?),
            ["space", "none"] => Order::Space(None),
            ["space", bytes] => Order::Space(Some(bytes.parse().ok()?)),
            ["fail", count] => Order::Fail(count.parse().ok()?),
            _ => return None,
        })
    }
}

/// Where orders come from.
struct Orders {
    /// `None` after the input has ended: it may be started without any.
    lines: Option<mpsc::Receiver<String>>,
    cut: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Orders {
    fn open() -> std::io::Result<Orders> {
        let (sender, lines) = mpsc::channel(1);
        // A thread that nothing can wake: `main` leaves the process without waiting for it.
        std::thread::spawn(move || {
            let lines = std::io::stdin().lines().map_while(Result::ok);
            lines
                .map_while(|line| sender.blocking_send(line).ok())
                .count()
        });
        Ok(Orders {
            lines: Some(lines),
            cut: signal(SignalKind::user_defined1())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Order {
        loop {
            let line = async {
                match &mut self.lines {
                    Some(lines) => lines.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.cut.recv() => return Order::Cut,
                _ = self.interrupt.recv() => return Order::Quit,
                _ = self.terminate.recv() => return Order::Quit,
                line = line => match line.as_deref().map(Order::parse) {
                    Some(Some(order)) => return order,
                    Some(None) => eprintln!("waybill-faultfs: not understood; --help lists the commands"),
                    None => self.lines = None,
                },
            }
        }
    }
}

/// The next survivors: each cut has its own seed, one above the last.
struct Chance {
    torn: Torn,
    seed: u64,
}

impl Chance {
    fn next(&mut self) -> Survivors {
        let seed = self.seed;
        self.seed = seed.wrapping_add(1);
        match self.torn {
            Torn::Nothing => Survivors::Nothing,
            Torn::Prefix => Survivors::Prefix { seed },
            Torn::Scatter => Survivors::Scatter { seed },
        }
    }
}

fn carry_out(order: &Order, mounted: &Mounted, chance: &mut Chance) -> std::io::Result<()> {
    match *order {
        Order::Off => mounted.power_off(),
        Order::Cut | Order::On => {
            let survivors = chance.next();
            let report = match order {
                Order::Cut => mounted.power_cut(survivors)?,
                _ => mounted.power_on(survivors)?,
            };
            println!(
                "{survivors:?}: {} bytes in {} files and {} names were not durable and are gone",
                report.bytes_lost, report.files_changed, report.names_changed
            );
        }
        Order::Delay(milliseconds) => mounted.set_sync_delay(Duration::from_millis(milliseconds)),
        Order::Space(bytes) => mounted.set_space_left(bytes),
        Order::Fail(before) => mounted.fail_syncs(before, 1),
        Order::Quit => {}
    }
    Ok(())
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let options = Options {
        sync_delay: Duration::from_millis(arguments.fsync_delay_ms),
        lying_syncs: arguments.lying_syncs,
        space_left: arguments.space,
    };
    let clock = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    };
    let seed = arguments.seed.unwrap_or_else(clock);
    let mut chance = Chance {
        torn: arguments.survivors,
        seed,
    };
    // Signals are caught before there is a mount that they could leave behind.
    let mut orders = Orders::open()?;
    let mounted = FaultFs::mount(&arguments.backing, &arguments.mount, &options)?;
    println!(
        "{} is shown at {}, a sync takes {} ms",
        arguments.backing.display(),
        arguments.mount.display(),
        arguments.fsync_delay_ms
    );
    loop {
        match orders.next().await {
            Order::Quit => break,
            order => carry_out(&order, &mounted, &mut chance)?,
        }
    }
    mounted.unmount()?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let outcome = run(Arguments::parse()).await;
    if let Err(error) = &outcome {
        eprintln!("waybill-faultfs: {error}");
    }
    // Not a return: a thread may still be reading standard input.
    std::process::exit(i32::from(outcome.is_err()))
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn orders_are_read_and_others_refused() {
        assert_eq!(Order::parse(" cut "), Some(Order::Cut));
        assert_eq!(Order::parse("delay 10"), Some(Order::Delay(10)));
        assert_eq!(Order::parse("space none"), Some(Order::Space(None)));
        assert_eq!(Order::parse("space 7"), Some(Order::Space(Some(7))));
        assert_eq!(Order::parse("fail 0"), Some(Order::Fail(0)));
        for wrong in ["", "cut now", "delay", "delay ten", "space -1", "CUT"] {
            assert_eq!(Order::parse(wrong), None, "{wrong:?}");
        }
    }
}
