//! The input `helm`: a chart becomes the OCI artifact that `helm push` makes of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::FileBlob;
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_oci::ImageReference;
use ocm_repository::Content;

use super::access::artifact;
use super::chart::{Chart, ChartError, MAX_SIZE};
use super::package::package;
use super::repository::ChartRepository;
use crate::access::StoreProvider;
use crate::http::{HttpSource, spool, without_query};

/// The largest provenance file, in bytes.
const MAX_PROVENANCE: u64 = 1024 * 1024;

/// The input `helm`, with `path`, or `helmRepository`, and with `version` and `repository`.
///
/// `path` is a chart directory, which is packaged, or a packaged chart; a file beside it whose name
/// ends with `.prov` goes along. `helmRepository` is the address of a packaged chart
/// (`https://…tgz`), of one in a registry (`oci://…:version`), or of a chart repository; then `path`
/// is the name of the chart, and `caCert` or `caCertFile` the certificates to trust besides those
/// of the system. `repository` is the name under which the chart may be uploaded.
#[derive(Clone, Debug)]
pub struct HelmInput {
    remote: Option<(HttpSource, Arc<dyn StoreProvider>)>,
}

impl HelmInput {
    /// Takes charts of this machine only.
    pub const fn local() -> Self {
        Self { remote: None }
    }

    /// Also takes charts from chart repositories and registries.
    pub const fn new(http: HttpSource, stores: Arc<dyn StoreProvider>) -> Self {
        Self {
            remote: Some((http, stores)),
        }
    }
}

const FIELDS: [&str; 6] = [
    "path",
    "helmRepository",
    "version",
    "repository",
    "caCert",
    "caCertFile",
];

#[async_trait]
impl InputMethod for HelmInput {
    fn types(&self) -> &[&'static str] {
        &["helm", "Helm"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&FIELDS)?;
        let mut warnings = Vec::new();
        let chart = match input
            .text("helmRepository")?
            .filter(|text| !text.is_empty())
        {
            None => local(input, context).await?,
            Some(remote) => match self.remote(input, context, &remote, &mut warnings).await? {
                Remote::Chart(chart) => *chart,
                Remote::Content(content) => {
                    return Ok(InputResult {
                        warnings,
                        ..content.into()
                    });
                }
            },
        };
        let version = input.text("version")?.filter(|text| !text.is_empty());
        if let Some(version) = version.filter(|version| version != chart.version.as_str()) {
            let reason = format!(
                "the chart has the version `{}`, not `{version}`",
                chart.version
            );
            return Err(InputError::unusable(input.place_of("version"), reason));
        }
        let reference_name = reference_name(input, &chart)?;
        let layout = chart.layout().map_err(|source| {
            InputError::backend(input.place.clone(), "package", &*chart.name, source)
        })?;
        Ok(InputResult {
            reference_name,
            warnings,
            ..Content::Blob(layout).into()
        })
    }
}

enum Remote {
    Chart(Box<Chart>),
    Content(Content),
}

impl HelmInput {
    async fn remote(
        &self,
        input: &InputSpec,
        context: &InputContext,
        address: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Remote, InputError> {
        let place = || input.place_of("helmRepository");
        let Some((http, stores)) = &self.remote else {
            let reason = "charts from elsewhere are not available here";
            return Err(InputError::unusable(place(), reason));
        };
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            InputError::backend(place(), "read a chart from", without_query(address), source)
        };
        let name = input.text("path")?.filter(|text| !text.is_empty());
        let version = input.text("version")?.filter(|text| !text.is_empty());
        let authority = authority(input, context).await?;
        if address.starts_with("oci://") {
            if authority.is_some() {
                let reason = "certificates for registries are configured, not given here";
                warnings.push(format!("`caCert` and `caCertFile` are ignored: {reason}"));
            }
            let mut text = address.trim_end_matches('/').to_owned();
            if let Some(name) = &name {
                text = format!("{text}/{name}");
            }
            let mut image: ImageReference =
                text.parse().map_err(|error: ocm_oci::ParseNameError| {
                    InputError::unusable(place(), error.to_string())
                })?;
            if let (None, Some(version)) = (image.reference(), &version) {
                let tag = version.replace('+', "_").parse();
                let tag = tag.map_err(|error: ocm_oci::ParseNameError| {
                    InputError::unusable(input.place_of("version"), error.to_string())
                })?;
                image.tag = Some(tag);
            }
            let found = artifact(stores, image).await;
            let found = found.map_err(|error| failed(Box::new(error)))?;
            return Ok(Remote::Content(Content::Artifact(Box::new(found))));
        }
        let is_package = [".tgz", ".tar.gz"].iter().any(|end| address.ends_with(end));
        let repository = ChartRepository {
            http,
            address,
            authority,
        };
        let blob = match &name {
            _ if is_package => repository.package().await,
            Some(name) => repository.chart(name, version.as_deref()).await,
            None => {
                let reason = "is no packaged chart, so `path` must name the chart in it";
                return Err(InputError::unusable(place(), reason));
            }
        };
        let blob = blob.map_err(|error| failed(Box::new(error)))?;
        let file = spool(&blob, without_query(address), MAX_SIZE).await;
        let file = file.map_err(|error| failed(Box::new(error)))?;
        let chart = on_thread(input, move || Chart::of_file(&file)).await?;
        Ok(Remote::Chart(Box::new(chart)))
    }
}

/// Returns the certificates that the input says are to be trusted, in PEM.
async fn authority(
    input: &InputSpec,
    context: &InputContext,
) -> Result<Option<Vec<u8>>, InputError> {
    const MAX: u64 = 1024 * 1024;
    let inline = input.text("caCert")?.filter(|text| !text.is_empty());
    if let Some(pem) = inline {
        return Ok(Some(pem.into_bytes()));
    }
    let Some(path) = input.text("caCertFile")?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let path = context.resolve(input, "caCertFile", &path).await?;
    let blob = FileBlob::open_path(&path);
    let read = async { ocm_blob::read_to_end(&blob?, MAX).await };
    let pem = read.await.map_err(|error| {
        InputError::backend(
            input.place_of("caCertFile"),
            "use",
            "the certificates",
            error,
        )
    })?;
    Ok(Some(pem.to_vec()))
}

async fn local(input: &InputSpec, context: &InputContext) -> Result<Chart, InputError> {
    let path = input.required_text("path")?;
    let found = context.resolve(input, "path", &path).await?;
    let inside = context.resolve(input, "path", ".").await?;
    on_thread(input, move || {
        if found.is_dir() {
            return package(&found, &inside);
        }
        let chart = Chart::open(&found)?;
        Ok(match provenance(&found)? {
            Some(provenance) => chart.with_provenance(provenance),
            None => chart,
        })
    })
    .await
}

/// Reads the provenance file beside a packaged chart.
fn provenance(chart: &Path) -> Result<Option<Vec<u8>>, ChartError> {
    let mut path = chart.as_os_str().to_owned();
    path.push(".prov");
    let path = PathBuf::from(path);
    let failed = |source| ChartError::file(&path, ocm_blob::Error::file("read", &path, source));
    // A link could lead anywhere.
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_PROVENANCE => {
            std::fs::read(&path).map(Some).map_err(failed)
        }
        Ok(_) => Err(ChartError::Entry {
            path: path.display().to_string(),
            reason: format!("it is no file of up to {MAX_PROVENANCE} bytes"),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(source)),
    }
}

async fn on_thread(
    input: &InputSpec,
    work: impl FnOnce() -> Result<Chart, ChartError> + Send + 'static,
) -> Result<Chart, InputError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
        InputError::backend(input.place.clone(), "use", "the chart", source)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(Box::new(error)))?
        .map_err(|error| failed(Box::new(error)))
}

/// Returns the name under which the chart may be uploaded, with its version as tag.
fn reference_name(input: &InputSpec, chart: &Chart) -> Result<Option<String>, InputError> {
    let Some(name) = input.text("repository")?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let tag = name
        .rsplit_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.contains('/'));
    match tag {
        None => Ok(Some(format!("{name}:{}", chart.tag()))),
        Some(tag) if tag == chart.tag() => Ok(Some(name)),
        Some(tag) => {
            let reason = format!(
                "has the tag `{tag}`, but the chart has the version `{}`",
                chart.version
            );
            Err(InputError::unusable(input.place_of("repository"), reason))
        }
    }
}
