//! Three NATS servers on loopback: their configuration, and the checks that they are what the column says.

use std::path::Path;
use std::time::{Duration, Instant};

use super::START_PATIENCE;
use super::jetstream::{NAME, REMEDY};
use super::nats_client::Client;
use crate::child::{Server, free_port};
use crate::error::{Error, Result};
use crate::http1;

/// Servers, and copies of the stream.
pub const NODES: usize = 3;
/// The first version whose replicated streams group their syncs; earlier ones sync once per message and replica.
const OLDEST: (u32, u32, u32) = (2, 15, 1);
/// How long the server remembers a dedup key, in nanoseconds: its default.
const DEDUP_WINDOW_NS: u64 = 120_000_000_000;
/// Batches that may be open at once. The server's default of 50 would refuse the in-flight that all columns have.
const BATCHES_IN_FLIGHT: u32 = 8_192;

/// The three ports of a server.
pub struct Node {
    client: u16,
    route: u16,
    monitor: u16,
}

impl Node {
    /// Ports that were free a moment ago.
    ///
    /// # Errors
    /// When the system has none.
    pub fn new() -> Result<Self> {
        Ok(Self {
            client: free_port()?,
            route: free_port()?,
            monitor: free_port()?,
        })
    }
}

/// The configuration file of server `number`, with its data in `store`.
pub fn configuration(nodes: &[Node], number: usize, store: &Path) -> String {
    let node = &nodes[number];
    let routes: Vec<String> = nodes
        .iter()
        .map(|n| format!("\"nats://127.0.0.1:{}\"", n.route))
        .collect();
    format!(
        "server_name: n{number}\n\
         listen: \"127.0.0.1:{}\"\n\
         http: \"127.0.0.1:{}\"\n\
         jetstream {{\n\
           store_dir: \"{}\"\n  max_mem: 256MB\n  max_file: 1TB\n  sync_interval: always\n\
           limits {{ batch {{ max_inflight_per_stream: {BATCHES_IN_FLIGHT}, max_inflight_total: {BATCHES_IN_FLIGHT} }} }}\n\
         }}\n\
         cluster {{ name: compare, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
        node.client,
        node.monitor,
        store.display(),
        node.route,
        routes.join(", "),
    )
}

/// Waits for the cluster, creates the stream, checks version and durability of every server, and finds the leader.
///
/// # Errors
/// When the cluster does not come up in time, or is not what the column says.
pub async fn prepare(servers: &mut [Server], nodes: &[Node]) -> Result<(u16, serde_json::Value)> {
    let patience = Instant::now() + START_PATIENCE;
    let stream = serde_json::json!({
        "name": "WAYBILL", "subjects": ["l", "u.*"], "storage": "file", "num_replicas": NODES,
        "retention": "limits", "discard": "new", "duplicate_window": DEDUP_WINDOW_NS, "allow_atomic": true,
        "max_msgs": -1, "max_bytes": -1, "max_age": 0,
    });
    let leader = loop {
        for server in servers.iter_mut() {
            server.check()?;
        }
        match create(nodes, &stream.to_string()).await {
            Ok(leader) => break leader,
            // A young cluster refuses placement for a few seconds.
            Err(_) if Instant::now() < patience => {
                tokio::time::sleep(Duration::from_millis(200)).await
            }
            Err(e) => return Err(e),
        }
    };
    let mut versions = Vec::new();
    for node in nodes {
        let jsz = http1::get_json(NAME, node.monitor, "/jsz?config=1").await?;
        if jsz["config"]["sync_always"] != true {
            return Err(Error::Server {
                system: NAME,
                detail: "sync_interval is not always".into(),
            });
        }
        let varz = http1::get_json(NAME, node.monitor, "/varz").await?;
        let version = varz["version"].as_str().unwrap_or("unknown").to_owned();
        if parse_version(&version).is_none_or(|v| v < OLDEST) {
            return Err(Error::Server {
                system: NAME,
                detail: format!("version {version} is too old. {REMEDY}"),
            });
        }
        versions.push(version);
    }
    let effective = serde_json::json!({
        "versions": versions, "sync_interval": "always", "stream": stream,
        "batches_in_flight": BATCHES_IN_FLIGHT, "connected_to": "the stream's leader",
    });
    Ok((leader, effective))
}

/// Creates the stream and returns the client port of its leader.
async fn create(nodes: &[Node], stream: &str) -> Result<u16> {
    let mut client = Client::open(nodes[0].client, 0).await?;
    let made = client
        .ask("$JS.API.STREAM.CREATE.WAYBILL", stream.as_bytes())
        .await?;
    if !made["error"].is_null() {
        return Err(Error::Server {
            system: NAME,
            detail: format!("no stream: {}", made["error"]),
        });
    }
    let info = client.ask("$JS.API.STREAM.INFO.WAYBILL", b"").await?;
    let leader = info["cluster"]["leader"]
        .as_str()
        .and_then(|name| name.strip_prefix('n')?.parse::<usize>().ok());
    let replicas = info["cluster"]["replicas"].as_array().map_or(0, Vec::len);
    match leader.and_then(|number| nodes.get(number)) {
        Some(node) if replicas == NODES - 1 => Ok(node.client),
        _ => Err(Error::Server {
            system: NAME,
            detail: format!("no leader of {NODES} copies yet: {info}"),
        }),
    }
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('-').next()?.split('.').map(|p| p.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(parse_version("2.15.1"), Some((2, 15, 1)));
        assert!(parse_version("2.9.10") < parse_version("2.15.1"));
        assert_eq!(parse_version("2.16.0-preview.1"), Some((2, 16, 0)));
        assert_eq!(parse_version("dev"), None);
    }
}
