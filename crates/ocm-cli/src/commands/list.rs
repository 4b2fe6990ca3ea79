//! `ocm list`.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use ocm::Use;
use ocm::model::{ComponentName, Version};
use serde::Serialize;

use super::Session;
use crate::output::{Columns, Format, data};

/// List the components in an archive or a registry
///
/// Prints one line for each component, with its newest version and the number of versions.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive or registry, such as `./shop.ctf` or `ghcr.io/acme`
    repository: String,

    /// Only these components, and those that they lead to by references; needed where a registry
    /// does not list what it has
    components: Vec<ComponentName>,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// A component with its versions.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: ComponentName,
    versions: Vec<Version>,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let listed = components(session, &args).await?;
    let text = if let Some(text) = data(args.output, &listed)? {
        text
    } else {
        let mut columns = Columns::new(&["COMPONENT", "LATEST", "VERSIONS"]);
        for Listed { name, versions } in &listed {
            let latest = versions
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            columns.row([name.to_string(), latest, versions.len().to_string()]);
        }
        columns.render()
    };
    if listed.is_empty() {
        session
            .ui
            .note(&format!("no components in {}", args.repository));
    }
    session.ui.print(&text)
}

async fn components(session: &Session, args: &Args) -> anyhow::Result<Vec<Listed>> {
    let spec = session.repository(&args.repository)?;
    let repository = session.ocm.open(&spec, Use::Read).await?;
    let names = if args.components.is_empty() {
        repository.components().await?
    } else {
        let named = args.components.iter().cloned();
        let found = session.ocm.components_led_to(&repository, named).await?;
        found.into_iter().collect()
    };
    let repository = &repository;
    let listed = stream::iter(names)
        .map(|name| async move {
            match repository.versions(&name).await {
                Ok(versions) => Ok(Some(Listed { name, versions })),
                // A repository that has been emptied.
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        })
        .buffered(8)
        .try_filter_map(|listed| async move { Ok(listed) });
    Ok(listed.try_collect().await?)
}
