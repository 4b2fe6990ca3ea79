//! `ocm serve`.

mod files;

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ocm::bucket::Place;
use ocm::ctf::CtfFormat;
use ocm::oci::{MemoryStore, StoreRef};
use ocm::registry::{
    AccessEntry, AccessLog, Authentication, AuthenticationOptions, Delivery, Policy, Quota,
    Registry, RegistryOptions, Scheme, Server, ServerOptions, Tls,
};
use ocm::{Ocm, Use};

use tokio::sync::Notify;

use super::Session;
use crate::error::{Interrupted, usage};

/// Run a registry over a directory, or over an archive as it is
///
/// The directory is an archive in the common transport format, created if it is not there. A
/// tar, or with `--read-only` a directory, is served as it is, without unpacking. Any number of
/// registries serve the same bucket, `s3://bucket/prefix?endpoint=https://…&region=…`; its keys are
/// those of the configuration or of the variables of AWS. Without a path, the registry forgets
/// everything when it ends.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory, archive or bucket
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,

    /// The address to listen at; port 0 takes a free one, `systemd` the socket that systemd hands
    /// over
    #[arg(long, default_value = "127.0.0.1:5001", value_name = "ADDRESS")]
    listen: String,

    /// Refuse every change
    #[arg(long)]
    read_only: bool,

    #[command(flatten)]
    bucket: Bucket,

    /// Speak TLS with this chain of certificates (PEM), which is read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    #[command(flatten)]
    access: Access,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    garbage: Garbage,

    /// Answer `/metrics`, in the text format of Prometheus
    #[arg(long)]
    metrics: bool,

    /// Write each request to stderr, once it is answered, as a line of JSON
    #[arg(long)]
    access_log: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Bucket {
    /// Send clients that read a blob on to the bucket, which they then have to reach
    #[arg(long)]
    redirect: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct Limits {
    /// Refuse manifests of more than so many bytes
    #[arg(long, value_name = "BYTES")]
    max_manifest: Option<u64>,

    /// Refuse blobs of more than so many bytes
    #[arg(long, value_name = "BYTES")]
    max_blob: Option<u64>,

    /// Refuse what would make the directory larger than so many bytes
    #[arg(long, value_name = "BYTES")]
    quota: Option<u64>,

    /// How many connections are served at a time; more wait [default: half as many as the system
    /// allows open files, at most 16384]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: Option<u32>,

    /// How long a connection may be without a request, and the head of one may take
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    head_timeout: Option<u64>,

    /// How long a client may send less than 1 KiB, or take nothing of an answer
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    body_timeout: Option<u64>,

    /// How long requests may go on once the registry is to end
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    shutdown_grace: Option<u64>,
}

#[derive(Clone, Debug, clap::Args)]
struct Garbage {
    /// Remove what no manifest needs once in so many seconds, while the registry is used [default:
    /// never]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    gc_interval: Option<u64>,

    /// How old that has to be: longer than clients take from their first blob to the manifest
    #[arg(long, value_name = "SECONDS", default_value_t = 24 * 60 * 60, requires = "gc_interval")]
    #[arg(value_parser = clap::value_parser!(u64).range(60..))]
    gc_grace: u64,
}

#[derive(Clone, Debug, clap::Args)]
struct Access {
    /// Ask for a user and a password of this file, as `htpasswd -B` writes it
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,

    /// What clients are asked for
    #[arg(long, value_enum, default_value_t, requires = "htpasswd")]
    auth: Auth,

    /// Rules that say which users may pull from, push to and delete from which repositories
    #[arg(long, value_name = "FILE", requires = "htpasswd")]
    rules: Option<PathBuf>,

    /// Let everybody pull everything
    #[arg(long, requires = "htpasswd")]
    anonymous_pull: bool,

    /// A file of at least 32 random bytes that tokens are signed with, for several registries that
    /// are one to their clients
    #[arg(long, value_name = "FILE", requires = "htpasswd")]
    token_key: Option<PathBuf>,

    /// The URL that clients know the registry by, if something in front of it has another
    #[arg(long, value_name = "URL", requires = "htpasswd")]
    public_url: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Auth {
    /// A password with each request
    #[default]
    Basic,
    /// A token that the registry gives out for a password
    Token,
}

const NO_QUOTA: &str = "--quota is for a directory that is written to";

const NO_GARBAGE: &str = "--gc-interval is for a directory or a bucket that is written to";

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    refuse_misplaced(&args)?;
    let (store, read_only) = open(&args, &session.ocm).await?;
    if args.garbage.gc_interval.is_some() && (read_only || store.collector().is_none()) {
        return Err(usage(NO_GARBAGE));
    }
    let registry = Registry::with_policy(
        store,
        registry_options(&args, read_only),
        policy(&args, read_only, &session.ocm).await?,
    );
    let mut server = listen(&args.listen).await?;
    server = server
        .with_options(server_options(&args.limits))
        .with_metrics(registry.metrics());
    let mut scheme = "http";
    if let (Some(certificates), Some(key)) = (&args.tls_cert, &args.tls_key) {
        let (certificates, key) = (session.ocm.path(certificates), session.ocm.path(key));
        server = server.with_tls(Tls::open(certificates, key).await?);
        scheme = "https";
    }
    let what = args
        .path
        .as_ref()
        .map_or("memory".to_owned(), |path| path.display().to_string());
    let mode = if read_only { " (read-only)" } else { "" };
    session.ui.note(&format!(
        "serving {what}{mode}, listening on {scheme}://{}",
        server.address()
    ));
    let ending = Notify::new();
    let told = async {
        super::interrupted().await;
        ending.notify_one();
    };
    // Who cannot wait for the requests under way interrupts again.
    let told_again = async {
        ending.notified().await;
        super::interrupted_again().await;
    };
    tokio::select! {
        () = server.serve(registry.router(), told) => Ok(()),
        () = registry.expire_uploads(now), if !read_only => Ok(()),
        () = collect_garbage(&registry, &args.garbage) => Ok(()),
        () = told_again => Err(anyhow::Error::new(Interrupted)),
    }
}

async fn collect_garbage(registry: &Registry, garbage: &Garbage) {
    let Some(interval) = garbage.gc_interval else {
        return std::future::pending().await;
    };
    let [interval, grace] = [interval, garbage.gc_grace].map(Duration::from_secs);
    registry.collect_garbage(interval, grace).await;
}

/// Refuses flags that are not for what is served, before anybody is asked for it.
fn refuse_misplaced(args: &Args) -> anyhow::Result<()> {
    if args.bucket.redirect && !is_bucket(args) {
        return Err(usage("--redirect is for a bucket"));
    }
    if args.limits.quota.is_some() && is_bucket(args) {
        return Err(usage(NO_QUOTA));
    }
    Ok(())
}

fn registry_options(args: &Args, read_only: bool) -> RegistryOptions {
    let default = RegistryOptions::default();
    RegistryOptions {
        read_only,
        metrics: args.metrics,
        delivery: if args.bucket.redirect {
            Delivery::Redirect
        } else {
            Delivery::Pass
        },
        max_manifest: args.limits.max_manifest.unwrap_or(default.max_manifest),
        max_blob: args.limits.max_blob,
        body_idle: seconds(args.limits.body_timeout, default.body_idle),
        ..default
    }
}

fn server_options(limits: &Limits) -> ServerOptions {
    let default = ServerOptions::default();
    let files = files::allow_many();
    let connections = match (limits.max_connections, files) {
        (Some(given), _) => usize::try_from(given).unwrap_or(usize::MAX),
        // A connection may have a file open that it sends.
        (None, Some(files)) => default.max_connections.min((files / 2).max(1)),
        (None, None) => default.max_connections,
    };
    ServerOptions {
        max_connections: connections,
        grace: seconds(limits.shutdown_grace, default.grace),
        head_timeout: seconds(limits.head_timeout, default.head_timeout),
        write_idle: seconds(limits.body_timeout, default.write_idle),
        ..default
    }
}

fn seconds(given: Option<u64>, default: Duration) -> Duration {
    given.map_or(default, Duration::from_secs)
}

async fn policy(args: &Args, read_only: bool, ocm: &Ocm) -> anyhow::Result<Policy> {
    Ok(Policy {
        authentication: authentication(&args.access, ocm).await?,
        quota: quota(args, read_only, ocm).await?,
        access_log: args
            .access_log
            .then(|| Arc::new(JsonLines) as Arc<dyn AccessLog>),
    })
}

async fn quota(args: &Args, read_only: bool, ocm: &Ocm) -> anyhow::Result<Option<Quota>> {
    let Some(limit) = args.limits.quota else {
        return Ok(None);
    };
    let directory = args.path.as_ref().map(|path| ocm.path(path));
    match directory.filter(|path| !read_only && path.is_dir()) {
        Some(directory) => {
            let failed = format!("cannot measure {}", directory.display());
            let quota = Quota::new(directory, limit).await;
            Ok(Some(quota.context(failed)?))
        }
        None => Err(usage(NO_QUOTA)),
    }
}

/// The access log, a line for each request.
#[derive(Debug)]
struct JsonLines;

impl AccessLog for JsonLines {
    fn write(&self, entry: &AccessEntry) {
        #[derive(serde::Serialize)]
        struct Line<'a> {
            time: String,
            #[serde(flatten)]
            entry: &'a AccessEntry,
        }
        let time = jiff::Timestamp::now().to_string();
        let Ok(mut line) = serde_json::to_vec(&Line { time, entry }) else {
            return;
        };
        line.push(b'\n');
        // A log that cannot be written must not stop the server.
        let _ = std::io::stderr().lock().write_all(&line);
    }
}

async fn listen(address: &str) -> anyhow::Result<Server> {
    if address == "systemd" {
        let listener = listenfd::ListenFd::from_env().take_tcp_listener(0);
        let failed = "cannot take the socket that systemd hands over";
        let listener = listener.context(failed)?;
        let Some(listener) = listener else {
            return Err(usage(
                "systemd has handed over no socket (LISTEN_FDS, LISTEN_PID)",
            ));
        };
        return Server::from_listener(listener).context(failed);
    }
    Server::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => usage(format!(
                "`{address}` is no address such as `127.0.0.1:5001`"
            )),
            _ => anyhow::Error::new(error),
        })
}

async fn authentication(access: &Access, ocm: &Ocm) -> anyhow::Result<Option<Authentication>> {
    let Some(htpasswd) = &access.htpasswd else {
        return Ok(None);
    };
    let mut options = AuthenticationOptions::new(ocm.path(htpasswd), now);
    options.rules = access.rules.as_ref().map(|path| ocm.path(path));
    options.anonymous_pull = access.anonymous_pull;
    options.scheme = match access.auth {
        Auth::Basic => Scheme::Basic,
        Auth::Token => Scheme::Token,
    };
    let of_tokens = access.token_key.is_some() || access.public_url.is_some();
    if of_tokens && options.scheme != Scheme::Token {
        return Err(usage("--token-key and --public-url are for --auth token"));
    }
    options.token_key = access.token_key.as_ref().map(|path| ocm.path(path));
    if let Some(url) = &access.public_url {
        let url = url.parse();
        options.public_url = Some(url.map_err(|error| usage(format!("--public-url: {error}")))?);
    }
    Ok(Some(Authentication::open(options).await?))
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

fn is_bucket(args: &Args) -> bool {
    let text = args.path.as_ref().and_then(|path| path.to_str());
    text.is_some_and(|text| text.starts_with(Place::SCHEME))
}

async fn open(args: &Args, ocm: &Ocm) -> anyhow::Result<(StoreRef, bool)> {
    let Some(path) = &args.path else {
        return Ok((Arc::new(MemoryStore::new()), args.read_only));
    };
    let text = path.display().to_string();
    if is_bucket(args) {
        return Ok((Arc::new(ocm.bucket(&text).await?), args.read_only));
    }
    let full = ocm.path(path);
    // A file is served as it is, so that there must be one.
    let is_file = if full.exists() {
        full.is_file()
    } else {
        CtfFormat::of_name(&full) != CtfFormat::Directory
    };
    let usage = if args.read_only || is_file {
        Use::Read
    } else {
        Use::Write
    };
    let store = ocm.archive(&text, usage).await?;
    ocm.warn_of_delta(&store).await;
    Ok((store, usage == Use::Read))
}
