//! The controllers as a process.

mod metrics_endpoint;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::{ArgAction, Parser, ValueEnum};
use ocm::Timestamp;
use ocm_controllers::config::Rules;
use ocm_controllers::operator::{Downloads, Operator, Options};
use ocm_controllers::resolution;
use ocm_kube::lease::{Election, Led, Times};
use ocm_kube::{serve, shutdown};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use metrics_endpoint::MetricsFlags;

/// The lease of the leader: that of the Go controllers, so that the two never work side by side.
const LEASE: &str = "56490b8c.ocm.software";

/// Delivers component versions to Kubernetes: the controllers of `delivery.ocm.software`.
#[derive(Debug, Parser)]
#[command(name = "ocm-controllers", version)]
struct Flags {
    #[command(flatten)]
    metrics: MetricsFlags,
    /// Where `/healthz` and `/readyz` are served; `0` is nowhere.
    #[arg(long, value_name = "ADDRESS", default_value = ":8081")]
    health_probe_bind_address: String,
    /// Work only while this replica is the leader.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true")]
    leader_elect: bool,
    /// How many requests of one configuration to one registry are worked on at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    resolver_worker_count: usize,
    /// Accepted for the Go controllers' sake: the queue has no bound, as it has each object once.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    resolver_worker_queue_length: usize,
    /// Accepted for the Go controllers' sake: nothing is dropped whatever it is.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    resolver_subscriber_buffer_size: usize,
    /// How many resources are worked on at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    resource_controller_concurrency: u16,
    /// How many component versions are transferred at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    replication_controller_concurrency: u16,
    /// How many manifests that were downloaded are kept.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    deployer_download_cache_size: usize,
    /// How large a manifest may be, as a quantity such as `2Mi`; zero is no bound.
    #[arg(long, value_name = "SIZE", default_value = "2Mi", value_parser = parse_quantity)]
    deployer_download_max_resource_size: u64,
    /// How many minutes a component version counts without being looked at again.
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    resolver_cache_ttl: u64,
    /// Let objects use secrets and config maps of all namespaces, without a grant.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true")]
    allow_cross_namespace_config: bool,
    /// The directory below which archives may be read as repositories.
    #[arg(long, value_name = "DIRECTORY", default_value = "/data")]
    archives: PathBuf,
    /// How much is logged: `error`, `info`, `debug`, or a number that is the higher the more;
    /// `info` by default.
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    zap_log_level: Option<LevelFilter>,
    /// How it is logged; `json` by default.
    #[arg(long, value_name = "FORMAT")]
    zap_encoder: Option<Encoder>,
    /// Log for a developer, unless the other flags say otherwise: `debug`, `console`.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true")]
    zap_devel: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Encoder {
    /// A JSON object in each line.
    Json,
    /// For people.
    Console,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    log(&flags);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(flags)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the controllers have ended");
            ExitCode::FAILURE
        }
    }
}

fn log(flags: &Flags) {
    let (level, encoder) = if flags.zap_devel {
        (LevelFilter::DEBUG, Encoder::Console)
    } else {
        (LevelFilter::INFO, Encoder::Json)
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(flags.zap_log_level.unwrap_or(level))
        .with_writer(io::stderr);
    match flags.zap_encoder.unwrap_or(encoder) {
        Encoder::Json => builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .init(),
        Encoder::Console => builder.with_ansi(false).init(),
    }
}

async fn run(flags: Flags) -> Result<()> {
    let options = options(&flags)?;
    let metrics = options.metrics.clone();
    let client = kube::Client::try_default().await;
    let client = client.context("cannot find the API server")?;
    let stop = shutdown::on_signal().context("cannot listen to signals")?;
    let operator = Operator::new(client.clone(), options.clone());
    let ready = operator.readiness();
    // A replica that waits for its turn is as ready as it can be.
    let waits = flags.leader_elect;
    let ready = move || if waits { Ok(()) } else { ready() };
    let servers = async {
        tokio::try_join!(
            answer(&flags.health_probe_bind_address, &stop, |listener, stop| {
                serve::serve(listener, serve::probes(ready), stop)
            }),
            flags.metrics.serve(metrics, &stop),
        )
    };
    let work = async {
        if !flags.leader_elect {
            operator.run(stop.clone()).await;
            return Ok(());
        }
        let namespace = client.default_namespace();
        let identity = &options.instance;
        let times = Times::default();
        let client = client.clone();
        let election = Election::new(client, namespace, LEASE, identity, times, Timestamp::now);
        match election.lead(&stop, operator.run(stop.clone())).await {
            Led::Done(()) | Led::NotElected => Ok(()),
            Led::Lost => Err(anyhow!("the lease was lost")),
        }
    };
    tokio::pin!(servers, work);
    tokio::select! {
        served = &mut servers => {
            served?;
            // They end as they are stopped, while work comes to its end.
            work.await
        }
        done = &mut work => done,
    }
}

fn options(flags: &Flags) -> Result<Options> {
    let buffer = flags.resolver_subscriber_buffer_size;
    ensure!(
        (1..=flags.resolver_worker_queue_length).contains(&buffer),
        "--resolver-subscriber-buffer-size must be positive and at most --resolver-worker-queue-length"
    );
    ensure!(
        flags.resolver_cache_ttl > 0,
        "--resolver-cache-ttl must be positive"
    );
    ensure!(
        flags.resolver_worker_count > 0,
        "--resolver-worker-count must be positive"
    );
    flags.metrics.check()?;
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "ocm-controllers".to_owned());
    let instance = format!("{host}_{:x}", Timestamp::now().as_nanosecond());
    let options = Options::new(instance, Timestamp::now);
    Ok(Options {
        rules: Rules {
            allow_cross_namespace: flags.allow_cross_namespace_config,
        },
        resolution: resolution::Options {
            fresh_for: Duration::from_mins(flags.resolver_cache_ttl),
            turns: flags.resolver_worker_count,
            archives: Some(flags.archives.clone()),
            ..options.resolution
        },
        resource_concurrency: flags.resource_controller_concurrency,
        replication_concurrency: flags.replication_controller_concurrency,
        downloads: Downloads {
            kept: flags.deployer_download_cache_size,
            limit: flags.deployer_download_max_resource_size,
        },
        ..options
    })
}

/// Serves at an address until it is stopped.
async fn answer<F: Future<Output = io::Result<()>>>(
    address: &str,
    stop: &CancellationToken,
    serve: impl FnOnce(TcpListener, CancellationToken) -> F,
) -> Result<()> {
    let Some(address) = listen_address(address)? else {
        stop.cancelled().await;
        return Ok(());
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen at {address}"))?;
    let served = serve(listener, stop.clone()).await;
    served.with_context(|| format!("cannot serve at {address}"))
}

/// Reads an address as Go has them: without a host it is every one, and `0` is none.
fn listen_address(text: &str) -> Result<Option<SocketAddr>> {
    if text == "0" || text.is_empty() {
        return Ok(None);
    }
    let full = match text.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => text.to_owned(),
    };
    let address = full.parse();
    address
        .map(Some)
        .with_context(|| format!("`{text}` is no address such as :8081"))
}

/// Reads a level as zap has them: a number is how much more than `info` is logged.
fn parse_level(text: &str) -> Result<LevelFilter, String> {
    match text {
        "error" | "panic" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" | "1" => Ok(LevelFilter::DEBUG),
        number if number.parse::<u8>().is_ok_and(|it| it > 1) => Ok(LevelFilter::TRACE),
        _ => Err("error, info, debug or a positive number is expected".to_owned()),
    }
}

/// Reads a quantity of Kubernetes, such as `2Mi`, as a number of bytes.
fn parse_quantity(text: &str) -> Result<u64, String> {
    let units = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("", 1),
    ];
    let mut split = units
        .iter()
        .filter_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let parsed = split.next().and_then(|(number, factor)| {
        let number: u64 = number.parse().ok()?;
        number.checked_mul(*factor)
    });
    parsed.ok_or_else(|| "a whole number with a unit such as Ki, Mi or Gi is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        let read = |text| parse_quantity(text).ok();
        assert_eq!(read("2Mi"), Some(2 << 20));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("5k"), Some(5000));
        assert_eq!(read("-1"), None);
        assert_eq!(read("Mi"), None);
        assert_eq!(read("99999999999Ti"), None);
    }

    #[test]
    fn addresses_are_those_of_go() {
        let read = |text| listen_address(text).map(|it| it.map(|it| it.to_string()));
        assert_eq!(read("0").unwrap(), None);
        assert_eq!(read(":8081").unwrap().as_deref(), Some("[::]:8081"));
        assert_eq!(read("127.0.0.1:1").unwrap().as_deref(), Some("127.0.0.1:1"));
        assert!(read("8081").is_err());
    }

    #[test]
    fn flags_are_checked_as_those_of_the_go_controllers() {
        let of = |arguments: &[&str]| {
            let arguments = ["ocm-controllers"]
                .into_iter()
                .chain(arguments.iter().copied());
            options(&Flags::try_parse_from(arguments).unwrap())
        };
        assert!(of(&["--leader-elect", "--zap-log-level=debug"]).is_ok());
        assert!(of(&["--leader-elect=false", "--zap-devel=false"]).is_ok());
        assert!(of(&["--zap-log-level=2", "--enable-http2"]).is_ok());
        assert!(of(&["--metrics-secure", "--metrics-cert-path=/certificates"]).is_ok());
        assert!(of(&["--metrics-cert-path=/certificates"]).is_err());
        assert!(of(&["--resolver-cache-ttl=0"]).is_err());
        assert!(of(&["--resolver-subscriber-buffer-size=0"]).is_err());
        assert!(of(&["--resolver-subscriber-buffer-size=1001"]).is_err());
    }
}
