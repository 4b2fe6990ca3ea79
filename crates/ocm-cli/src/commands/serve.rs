//! `ocm serve`.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use ocm::oci::{MemoryStore, StoreRef};
use ocm::registry::{Registry, RegistryOptions, Server};
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
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let (store, read_only) = open(&args, &session.ocm).await?;
    let options = RegistryOptions {
        read_only,
        ..RegistryOptions::default()
    };
    let registry = Registry::new(store, options);
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
