//! `ocm state export`.

use std::path::PathBuf;

use ocm::model::{ComponentVersionId, RepositorySpec};
use ocm::oci::CopyOptions;
use ocm::{Use, write_file};

use super::Session;
use crate::error::usage;
use crate::output::count;

/// List what an archive or a registry has, by digests, for `transfer --since` at the other side
///
/// The file has digests, sizes and the names of repositories and component versions, and no
/// content. What is listed was asked for, and is there.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive or registry, such as `./shop.ctf` or `registry.internal/mirror`
    place: String,

    /// Only these components, `NAME`, or component versions, `NAME:VERSION`; needed where a
    /// registry does not list what it has
    components: Vec<String>,

    /// Read large blobs, and list their chunks as well, for `transfer --chunk-deltas`
    #[arg(long)]
    chunks: bool,

    /// Write to this file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// How many blobs are asked for at a time
    #[arg(long, default_value_t = 16, value_name = "N")]
    concurrency_limit: usize,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let ocm = &session.ocm;
    let spec = session.repository(&args.place)?;
    let versions = chosen(&args, &spec, session).await?;
    let copy = CopyOptions::new(args.concurrency_limit);
    let state = ocm.state(&spec, versions, args.chunks, &copy).await?;
    let text = state.write();
    let Some(file) = &args.output else {
        return session.ui.print(&text);
    };
    write_file(&ocm.path(file), text.into()).await?;
    let content = state.repositories.values().map(|blobs| blobs.len() as u64);
    session.ui.note(&format!(
        "wrote {}: {}, {}",
        file.display(),
        count(state.component_versions.len() as u64, "component version"),
        count(content.sum::<u64>(), "digest"),
    ));
    Ok(())
}

/// Returns the component versions that were named; `None` if none was.
async fn chosen(
    args: &Args,
    spec: &RepositorySpec,
    session: &Session,
) -> anyhow::Result<Option<Vec<ComponentVersionId>>> {
    if args.components.is_empty() {
        return Ok(None);
    }
    let repository = session.ocm.open(spec, Use::Read).await?;
    let mut versions = Vec::new();
    for text in &args.components {
        if let Ok(id) = text.parse::<ComponentVersionId>() {
            versions.push(id);
            continue;
        }
        let name = text.parse().map_err(|_| {
            usage(format!(
                "`{text}` is no component, such as `acme.org/shop` or `acme.org/shop:1.0.0`"
            ))
        })?;
        let all = session.ocm.versions_of(&repository, &name, None, false);
        versions.extend(all.await?);
    }
    Ok(Some(versions))
}
