//! `ocm download resource`.

use std::path::PathBuf;

use clap::ValueEnum;
use ocm::model::Identity;
use ocm::oci::CopyOptions;
use ocm::{DownloadRequest, Extraction};

use super::Session;
use crate::error::{hinted, usage};
use crate::progress::Progress;

/// Download the content of a resource
///
/// The content is checked against the digest in the descriptor while it is read; the target
/// appears only once it is whole and right. A tar becomes a directory, compressed content is
/// expanded, and an OCI artifact becomes an OCI layout: a directory, or a file if the output is
/// named like a tar.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The component version, such as `./shop.ctf//acme.org/shop:1.0.0`
    reference: String,

    /// The name of the resource, and where that is not enough more of its identity as `key=value`
    selectors: Vec<String>,

    /// The identity of the resource
    #[arg(long, value_name = "KEY=VALUE,…")]
    identity: Option<Identity>,

    /// Where the content goes; by default a file or directory of the resource's name
    #[arg(long, short = 'O', value_name = "PATH")]
    output: Option<PathBuf>,

    /// What becomes of content that is packed
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    extraction_policy: ExtractionPolicy,
}

/// What becomes of content that is packed
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ExtractionPolicy {
    /// Unpack tars and expand what is compressed
    #[default]
    Auto,
    /// Write bytes as they are
    Disable,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let located = session.reference(&args.reference).await?;
    let progress = Progress::start(&session.ui, "downloading");
    let request = DownloadRequest {
        selector: selector(&args)?,
        output: args.output.clone(),
        extraction: match args.extraction_policy {
            ExtractionPolicy::Auto => Extraction::Auto,
            ExtractionPolicy::Disable => Extraction::Disable,
        },
        copy: CopyOptions::default().with_progress(progress.of_download()),
    };
    let downloaded = session.ocm.download(&located, &request).await;
    progress.finish();
    let downloaded = match downloaded {
        Ok(downloaded) => downloaded,
        Err(error @ ocm::Error::Lookup(_)) => {
            let hint = format!("`ocm get resources {}` lists what there is", args.reference);
            return Err(hinted(error, hint));
        }
        Err(error) => return Err(error.into()),
    };
    let verified = match downloaded.digest {
        Some(digest) => format!("digest {digest} verified"),
        None => "not covered by a digest".to_owned(),
    };
    session.ui.note(&format!(
        "downloaded {} ({verified})",
        downloaded.path.display()
    ));
    Ok(())
}

fn selector(args: &Args) -> anyhow::Result<Identity> {
    let mut selector = args.identity.clone().unwrap_or_default();
    for text in &args.selectors {
        match text.split_once('=') {
            Some((key, value)) => selector.insert(key, value),
            None => selector.insert(Identity::NAME, text.as_str()),
        };
    }
    if selector.is_empty() {
        return Err(usage(
            "name the resource to download, as in `ocm download resource REF NAME`",
        ));
    }
    Ok(selector)
}
