//! How the QUIC and TLS machinery is set up. quinn's defaults suit a download, not a hundred thousand peers of which any may be
//! hostile: they let one connection pin hundreds of megabytes.

use std::net::UdpSocket;
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::udp::UdpSocketState;
use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    ServerConfig, TransportConfig, VarInt,
};
use waybill_core::wire::ALPN;

use super::certificate::Certificate;
use super::endpoint::BindError;
use super::options::Options;
use crate::tls;

/// Bytes a peer may send on its control stream before they are read.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for a whole connection. There is one stream to receive on, so more would never be used.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW;

/// Bytes written to a connection that its peer has not acknowledged: what a peer that reads nothing costs.
const SEND_WINDOW: u64 = 512 * 1024;

/// Bytes of datagrams that a peer may send: none that says anything. A side that takes none at all could not send any either.
const DATAGRAM_TAKEN: usize = 1;

/// Bytes of datagrams that wait to leave a connection; older ones go first.
const DATAGRAM_BYTES: usize = 16 * 1024;

/// How exactly the largest packet of a path is found, in bytes: with two probes, or with one where it is small. Each is as long as
/// what it asks for, and read by the other side byte by byte, which in a storm of new connections is felt.
const MTU_STEP: u16 = 100;

/// Handshakes that wait to be looked at.
const MAX_INCOMING: usize = 1_024;

/// Bytes that one of them may have sent besides its first packet: an early pull.
const INCOMING_BYTES: u64 = 64 * 1024;

/// The same for all of them.
const INCOMING_BYTES_TOTAL: u64 = 8 * 1024 * 1024;

/// TLS handshake bytes kept out of order.
const CRYPTO_BUFFER_BYTES: usize = 16 * 1024;

/// TLS sessions that can be resumed, and with that have early data. The oldest go first. Kept in memory, and given out once
/// each: a ticket that was used is worthless to a replay.
const RESUMABLE_SESSIONS: usize = 32 * 1024;

/// Bytes that the kernel may hold for the socket in each direction, where it allows so many. All connections share one
/// socket; what does not fit is lost, and has to be sent again.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of a connection id.
const CID_BYTES: usize = 8;

/// The key under which a server that has lost a connection can tell the peer so, at once and believably. Kept across restarts,
/// it lets clients of a killed server connect anew without waiting for their time-outs.
pub type ResetKey = [u8; 64];

/// Connection ids without meaning. Those of an earlier run are answered with a reset, as those of this one.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CID_BYTES];
        // Without randomness TLS fails too; ids that then collide harm nobody.
        let _ = getrandom::fill(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// The set-up of the socket. Public, as the two below, so that it can be measured what the machinery costs by itself.
#[must_use]
pub fn endpoint_config(reset_key: &ResetKey) -> EndpointConfig {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, reset_key);
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// Asks the kernel for room. With less the socket works too, only not as fast.
pub fn enlarge_buffers(socket: &UdpSocket) {
    if let Ok(state) = UdpSocketState::new(socket.into()) {
        let _ = state.set_recv_buffer_size(socket.into(), SOCKET_BUFFER_BYTES);
        let _ = state.set_send_buffer_size(socket.into(), SOCKET_BUFFER_BYTES);
    }
}

/// The set-up of connections.
///
/// # Errors
/// When the certificate or an option does not fit.
pub fn server_config(
    certificate: &Certificate,
    options: &Options,
) -> Result<ServerConfig, BindError> {
    let setup = |error: &dyn std::fmt::Display| BindError::Setup(error.to_string());
    let mut tls = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| setup(&error))?
        .with_no_client_auth()
        .with_single_cert(certificate.chain.clone(), certificate.key.clone_key())
        .map_err(|error| setup(&error))?;
    tls.ignore_client_order = true;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.session_storage = rustls::server::ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
    tls.send_tls13_tickets = 1;
    // QUIC knows only all or nothing; how much it may be is a matter of windows.
    tls.max_early_data_size = if options.early_pull { u32::MAX } else { 0 };
    let tls = QuicServerConfig::try_from(tls).map_err(|error| setup(&error))?;
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport(options)?))
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL)
        .migration(true);
    Ok(config)
}

fn transport(options: &Options) -> Result<TransportConfig, BindError> {
    let idle = IdleTimeout::try_from(options.idle)
        .map_err(|_| BindError::Setup("the idle time is too long".to_owned()))?;
    let mut larger = MtuDiscoveryConfig::default();
    larger.minimum_change(MTU_STEP);
    let mut transport = TransportConfig::default();
    transport
        .mtu_discovery_config(Some(larger))
        // The control stream is the only one that a client opens.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .max_idle_timeout(Some(idle))
        // Clients behind a NAT keep themselves alive; a server that did it for all would be busy with nothing else.
        .keep_alive_interval(None)
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        // Datagrams go to clients alone, and what does not leave at once is soon worth nothing.
        .datagram_receive_buffer_size(Some(DATAGRAM_TAKEN))
        .datagram_send_buffer_size(DATAGRAM_BYTES);
    Ok(transport)
}
