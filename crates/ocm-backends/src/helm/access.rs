//! Access type `Helm`: charts in chart repositories and in OCI registries.

use std::sync::Arc;

use async_trait::async_trait;
use ocm_model::Access;
use ocm_model::access::{AccessKind, Helm};
use ocm_oci::{ImageReference, Reference};
use ocm_repository::{AccessMethod, Artifact, Content, Error};

use super::repository::ChartRepository;
use crate::access::{StoreProvider, unsupported};
use crate::http::{HttpSource, without_query};

/// Reaches charts: from a chart repository as packaged chart, from `oci://` as OCI artifact.
#[derive(Clone, Debug)]
pub struct HelmAccess {
    http: HttpSource,
    stores: Arc<dyn StoreProvider>,
}

impl HelmAccess {
    /// Makes requests by the given client, and reaches registries by the given provider.
    pub const fn new(http: HttpSource, stores: Arc<dyn StoreProvider>) -> Self {
        Self { http, stores }
    }
}

#[async_trait]
impl AccessMethod for HelmAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::Helm(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, Error> {
        let Ok(AccessKind::Helm(helm)) = access.kind() else {
            return Err(unsupported(access));
        };
        let what = format!(
            "chart {} of {}",
            helm.chart,
            without_query(&helm.repository)
        );
        let failed = |source| Error::backend("read", what.clone(), source);
        if helm.repository.starts_with("oci://") {
            let image = image(&helm).map_err(failed)?;
            let artifact = artifact(&self.stores, image).await.map_err(failed)?;
            return Ok(Content::Artifact(Box::new(artifact)));
        }
        let repository = ChartRepository {
            http: &self.http,
            address: &helm.repository,
            // The first generation of the tools has a field `caCert`. Whoever has written the
            // access must not say whom to trust.
            authority: None,
        };
        let blob = repository.chart(helm.chart_name(), helm.chart_version());
        let blob = blob.await.map_err(failed)?;
        Ok(Content::Blob(Arc::new(blob)))
    }
}

/// Returns the image that a chart in a registry is.
fn image(helm: &Helm) -> Result<ImageReference, ocm_oci::Error> {
    let repository = helm.repository.trim_end_matches('/');
    let malformed =
        |reason: &str| ocm_oci::Error::malformed(format!("chart {}", helm.chart), reason);
    let version = helm
        .chart_version()
        .ok_or_else(|| malformed("it has no version"))?;
    let text = format!(
        "{repository}/{}:{}",
        helm.chart_name(),
        version.replace('+', "_")
    );
    text.parse()
        .map_err(|error: ocm_oci::ParseNameError| malformed(&error.to_string()))
}

/// Finds an artifact in a registry.
pub(super) async fn artifact(
    stores: &Arc<dyn StoreProvider>,
    image: ImageReference,
) -> Result<Artifact, ocm_oci::Error> {
    let reference: Reference = image
        .reference()
        .ok_or_else(|| ocm_oci::Error::malformed(image.to_string(), "it has no version"))?;
    let store = stores.store(&image).await?;
    let root = store.resolve(&image.repository, &reference).await?;
    Ok(Artifact {
        store,
        repository: image.repository,
        root,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_in_a_registry_is_an_image() {
        let helm = |chart: &str, version: Option<&str>| Helm {
            repository: "oci://ghcr.io/acme/charts/".to_owned(),
            chart: chart.to_owned(),
            version: version.map(str::to_owned),
        };
        let text = |helm| image(&helm).unwrap().to_string();
        assert_eq!(
            text(helm("notes:1.0.0", None)),
            "ghcr.io/acme/charts/notes:1.0.0"
        );
        assert_eq!(
            text(helm("notes", Some("1.0.0+a"))),
            "ghcr.io/acme/charts/notes:1.0.0_a"
        );
        assert!(image(&helm("notes", None)).is_err());
    }
}
