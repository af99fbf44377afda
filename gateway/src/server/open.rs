//! From a configuration to an open log and the service over it.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tracing::info;
use waybill_core::command::{Ask, Command};
use waybill_core::epochs::Epochs;
use waybill_core::hash::HashKey;
use waybill_core::id::{Epoch, UserNo};
use waybill_core::message_id::MessageIdKey;
use waybill_core::outcome::StateError;
use waybill_core::record::Surface;
use waybill_core::versions::RULES_VERSION;
use waybill_log::config::RecoveryBudget;
use waybill_log::directory::LEDGER_DIR;
use waybill_log::{Log, LogConfig, QueueHandle, Reader};

use super::StartOptions;
use super::error::StartError;
use crate::auth::{Authenticator, KeyRing};
use crate::config::Config;
use crate::error::{Error, Kind};
use crate::random;
use crate::registry::Registry;
use crate::secrets::{SecretDir, Secrets};
use crate::service::{LogTokens, Parts, Service};
use crate::telemetry::LogMetrics;
use crate::telemetry::metrics::Metrics;
use crate::tls;

/// An open log, and the service over it.
pub(super) struct Opened {
    pub log: Log,
    pub service: Service,
    pub secrets: SecretDir,
}

/// Opens the log and puts the service together.
pub(super) async fn open(
    config: &Arc<Config>,
    options: StartOptions,
    metrics: &Arc<Metrics>,
    log_metrics: &LogMetrics,
) -> Result<Opened, StartError> {
    let dir = SecretDir::open(&config.data)?;
    let ledger = config.data.join(LEDGER_DIR).exists();
    let secrets = Secrets::open(&dir, &config.openim, ledger)?;
    let StartOptions {
        log: mut log_options,
        mut progress,
    } = options;
    log_options.config = log_config(config);
    log_options.erasures = config.restore.erasures.clone();
    let data = config.data.clone();
    let opening =
        tokio::task::spawn_blocking(move || Log::open(&data, log_options, &mut *progress));
    let (log, queue) = opening.await.map_err(|_| StartError::Panicked)??;
    let reader = log.reader();
    log_metrics.open(reader.clone());
    let epochs = begin(&reader, &queue)
        .await
        .map_err(StartError::prepare("the ledger cannot be begun"))?;
    info!(epoch = %epochs.current(), durable = reader.durable().0, "the log is open");
    let service = Service::new(Parts {
        config: Arc::clone(config),
        authenticator: authenticator(config, &secrets, &reader),
        reader,
        queue,
        registry: registry(config),
        metrics: Arc::clone(metrics),
        hash_key: HashKey::new(secrets.id_key.expose()),
        message_ids: MessageIdKey::new(secrets.message_id_key.expose()),
        openim_secret: secrets.openim,
        epochs,
    });
    log_metrics.count_waiting(service.waiting());
    Ok(Opened {
        log,
        service,
        secrets: dir,
    })
}

fn registry(config: &Config) -> Registry {
    let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let limits = &config.limits;
    Registry::new(
        count(limits.live_connections),
        count(limits.connections_per_user),
    )
}

fn authenticator(config: &Config, secrets: &Secrets, reader: &Reader) -> Authenticator {
    let openim = &config.openim;
    let old = openim
        .access_secret_old
        .as_ref()
        .zip(openim.access_secret_old_until);
    let cache = usize::try_from(config.limits.token_cache_entries).unwrap_or(usize::MAX);
    Authenticator::new(
        KeyRing::new(&secrets.access, old),
        HashKey::new(secrets.id_key.expose()),
        openim.managers.iter().map(|manager| manager.id.clone()),
        Arc::new(LogTokens(reader.clone())),
        config.limits.clock_skew_seconds,
        cache,
    )
}

/// The sizes of the log: three quarters of the process's memory. The rest is for connections, requests on their way, and
/// the program itself.
pub(super) fn log_config(config: &Config) -> LogConfig {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    LogConfig {
        memory_mib: count(config.memory_mib * 3 / 4),
        recovery: RecoveryBudget {
            records: config.recovery.records,
            bytes: count(config.recovery.mib << 20),
            age: Duration::from_secs(config.recovery.seconds),
        },
        ..LogConfig::default()
    }
}

/// The histories that the ledger has been; a new one begins here.
async fn begin(reader: &Reader, queue: &QueueHandle) -> Result<Epochs, Error> {
    let unreadable = |error: StateError| Error::new(Kind::Internal, error.to_string());
    if let Some(epochs) = reader.epochs().map_err(unreadable)? {
        return Ok(epochs);
    }
    let epoch = Epoch::new(1, random::bytes()?);
    let ask = Ask::Found {
        epoch,
        rules: RULES_VERSION,
    };
    let command = Command {
        by: UserNo(0),
        surface: Surface::Server,
        ask,
    };
    match queue.ask(command, None).await {
        Ok(Ok(_)) => Ok(Epochs::new(epoch, Vec::new())),
        Ok(Err(refusal)) => Err(Error::new(Kind::Internal, refusal.to_string())),
        Err(error) => Err(Error::new(Kind::Internal, error.to_string())),
    }
}

/// TLS for HTTP, when a certificate is configured.
pub(super) fn tls(config: &Config) -> Result<Option<TlsAcceptor>, StartError> {
    let Some(files) = &config.tls else {
        return Ok(None);
    };
    let config = tls::for_http(tls::Identity::read(files)?)?;
    Ok(Some(config.into()))
}
