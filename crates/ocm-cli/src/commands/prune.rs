//! `ocm prune`.

use std::collections::BTreeSet;

use ocm::model::ComponentVersionId;
use ocm::{PruneOptions, PruneRoot};

use super::{Session, delete};
use crate::error::usage;
use crate::output::Format;

/// Keep some component versions with all they need, and remove all others
///
/// What is named by `--root` stays, and what that refers to, however far down, with all content and
/// what refers to it. All other component versions of the place go, and then what nothing needs.
/// What is no part of a component version stays. Without `--yes` nothing is changed, and what would
/// go is shown. When it breaks off, what stays is whole, and the same command goes on.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive or registry, such as `./shop.ctf` or `registry.internal/mirror`
    place: String,

    /// What stays: `NAME:VERSION`, or `NAME` for the newest version
    #[arg(long, required = true, value_name = "COMPONENT")]
    root: Vec<String>,

    /// So many older versions of each root stay as well
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    keep: usize,

    /// Remove what would go
    #[arg(long, short)]
    yes: bool,

    /// Change nothing, as without `--yes`
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let spec = session.repository(&args.place)?;
    let roots = args.root.iter().map(|text| root(text));
    let options = PruneOptions {
        roots: roots.collect::<Result<BTreeSet<_>, _>>()?,
        keep: args.keep,
        dry_run: !args.yes,
    };
    let report = session.ocm.prune(&spec, &options).await?;
    if report.unlisted {
        session.ui.warn(&format!(
            "{} does not list its components: only those that stay were looked at",
            report.repository
        ));
    }
    for id in &report.elsewhere {
        session
            .ui
            .note(&format!("{id} is referred to and is not here"));
    }
    delete::print(std::slice::from_ref(&report), args.output, session)?;
    delete::conclude(&report, session);
    if report.dry_run && !delete::is_nothing(&report) {
        session
            .ui
            .note("nothing has been changed; `--yes` removes it");
    }
    Ok(())
}

fn root(text: &str) -> anyhow::Result<PruneRoot> {
    if let Ok(id) = text.parse::<ComponentVersionId>() {
        return Ok(PruneRoot {
            component: id.name,
            version: Some(id.version),
        });
    }
    let component = text.parse().map_err(|_| {
        usage(format!(
            "`{text}` is no component, such as `acme.org/shop` or `acme.org/shop:1.0.0`"
        ))
    })?;
    Ok(PruneRoot {
        component,
        version: None,
    })
}
