//! `ocm serve`.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use ocm::oci::{MemoryStore, StoreRef};
use ocm::registry::{
    Authentication, AuthenticationOptions, Registry, RegistryOptions, Scheme, Server,
};
use ocm::{Ocm, Use};

use super::Session;
use crate::error::usage;

/// Run a registry over a directory, or over an archive as it is
///
/// The directory is an archive in the common transport format, created if it is not there. A
/// tar, or with `--read-only` a directory, is served as it is, without unpacking. Without a path,
/// the registry forgets everything when it ends.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory or archive
    path: Option<PathBuf>,

    /// The address to listen at; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:5001", value_name = "ADDRESS")]
    listen: String,

    /// Refuse every change
    #[arg(long)]
    read_only: bool,

    #[command(flatten)]
    access: Access,
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

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let (store, read_only) = open(&args, &session.ocm).await?;
    let options = RegistryOptions {
        read_only,
        ..RegistryOptions::default()
    };
    let registry = match authentication(&args.access, &session.ocm).await? {
        Some(authentication) => Registry::authenticated(store, options, authentication),
        None => Registry::new(store, options),
    };
    let server = Server::bind(&args.listen).await;
    let server = server.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => usage(format!(
            "`{}` is no address such as `127.0.0.1:5001`",
            args.listen
        )),
        _ => anyhow::Error::new(error),
    })?;
    let what = args
        .path
        .as_ref()
        .map_or("memory".to_owned(), |path| path.display().to_string());
    let mode = if read_only { " (read-only)" } else { "" };
    session.ui.note(&format!(
        "serving {what}{mode}, listening on http://{}",
        server.address()
    ));
    server.serve(registry.router(), super::interrupted()).await;
    Ok(())
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

async fn open(args: &Args, ocm: &Ocm) -> anyhow::Result<(StoreRef, bool)> {
    let Some(path) = &args.path else {
        return Ok((Arc::new(MemoryStore::new()), args.read_only));
    };
    let text = path.display().to_string();
    let is_file = ocm.path(path).is_file();
    let usage = if args.read_only || is_file {
        Use::Read
    } else {
        Use::Write
    };
    Ok((ocm.archive(&text, usage).await?, usage == Use::Read))
}
