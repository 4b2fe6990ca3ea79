//! Reconciles `Component`: chooses a version, and verifies it.

use std::sync::Arc;

use kube::ResourceExt as _;
use ocm::model::{ComponentName, ComponentVersionId, Version};

use crate::api::{Component, ComponentInfo, ComponentStatus, DigestInfo, Reason, Repository};
use crate::keys::{self, Place as KeyPlace, Verifying};
use crate::object::{Object as _, beside};
use crate::reconcile::{
    ConfigSources, Context, Done, Failure, Reconcile, Retry, parse_interval, with_causes,
};
use crate::repository::decode;
use crate::resolution::{Error, Place, Resolved, Wanted};
use crate::versions::{self, check_downgrade};
use crate::watch::{is_pending, usable};

/// The reason of the event about what no signature can cover.
const NOT_DIGESTIBLE: &str = "NotSafelyDigestible";

impl Reconcile for Component {
    const FINALIZERS: &'static [&'static str] = &["finalizers.ocm.software/component"];
    const LABEL: &'static str = "component";
    const DEPENDENTS: Option<&'static str> = Some("resources");
    const ANNOTATION: &'static str = "component_version";

    type Services = ();

    fn annotation(&self, status: &ComponentStatus) -> String {
        status.component.as_ref().map_or_else(
            || ":".to_owned(),
            |it| format!("{}:{}", it.component, it.version),
        )
    }

    async fn reconcile(
        &self,
        context: &Context<Self>,
        status: &mut ComponentStatus,
    ) -> Result<Done, Failure> {
        self.check()?;
        let repository = self.repository(context)?;
        let secrets = self.key_secrets()?;
        let sources = ConfigSources {
            parent: repository.effective_config(),
            secrets: &secrets,
            ..ConfigSources::default()
        };
        let effective = context.effective(self, sources)?;
        status.effective_ocm_config.clone_from(&effective);
        let spec = decode(&repository.spec.repository_spec)?;
        let name: ComponentName = self.spec.component.parse().map_err(
            |error: ocm::model::name::ParseComponentNameError| {
                Failure::new(Reason::GetComponentVersionFailed, &error, false)
            },
        )?;
        let config = context.load(self, &effective, Reason::GetComponentVersionFailed);
        let config = config.await?;
        let verifying = self.keys(context).await?;
        let place = Place {
            config,
            repository: spec,
        };

        let before = status.component.as_ref();
        // Versions of another component say nothing about this one.
        let before = before.filter(|it| it.component == self.spec.component);
        let before = before.map(|it| it.version.as_str());
        let (version, unlisted) = self.choose(context, &place, &name, before).await?;
        check_downgrade(self.spec.downgrade_policy, before, &version)
            .map_err(|error| Failure::new(Reason::CheckVersionFailed, &error, false))?;

        let wanted = Wanted {
            place,
            id: ComponentVersionId::new(name, version.clone()),
            verifying,
            digest: None,
        };
        let ticket = context.shared.resolutions.component_version(&wanted);
        let resolved = context.wait(self, ticket).await?.map_err(|error| {
            Failure::new(
                Reason::GetComponentVersionFailed,
                &*error,
                error.is_transient(),
            )
        })?;
        status.component = Some(self.info(&repository, &version, &resolved));
        let mut warnings = warnings(&wanted.id, &resolved);
        let unlisted = unlisted.map(|error| counts_on(Reason::CheckVersionFailed, &error));
        warnings.extend(unlisted);
        Ok(Done {
            warnings,
            ..Done::new(format!("Applied version {version}"))
        })
    }
}

impl Component {
    /// Refuses what is not offered, and what is malformed.
    fn check(&self) -> Result<(), Failure> {
        if self.spec.sign.is_some() {
            let message = "sign is not offered: sign the component version where it is made, with `ocm sign cv`";
            return Err(Failure::text(Reason::InvalidSpecification, message));
        }
        parse_interval(&self.spec.interval)
            .map_err(|message| Failure::text(Reason::InvalidSpecification, message))?;
        Ok(())
    }

    /// Returns the repository, if it can be used. If not, it is watched.
    fn repository(&self, context: &Context<Self>) -> Result<Arc<Repository>, Failure> {
        let key = beside(self, Repository::KIND, &self.spec.repository_ref.name);
        let repository = usable(&context.shared.stores.repositories, &key);
        repository.map_err(|_| {
            // The Go controllers do not say more.
            let failure = Failure::text(Reason::GetResourceFailed, "OCM Repository is not ready");
            if is_pending(&context.shared.stores.repositories, &key) {
                return Failure {
                    retry: Retry::WhenJudged,
                    ..failure
                };
            }
            failure
        })
    }

    /// Returns the names of the secrets that have keys.
    fn key_secrets(&self) -> Result<Vec<&str>, Failure> {
        let mut secrets = Vec::new();
        for verification in self.spec.verify.iter().flatten() {
            let place = keys::place(verification)
                .map_err(|error| Failure::new(Reason::GetComponentVersionFailed, &error, false))?;
            if let KeyPlace::Secret(name) = place {
                secrets.push(name);
            }
        }
        Ok(secrets)
    }

    async fn keys(&self, context: &Context<Self>) -> Result<Vec<Verifying>, Failure> {
        let namespace = self.namespace().unwrap_or_default();
        let stated = self.spec.verify.as_deref().unwrap_or_default();
        let _request = context.shared.request().await;
        let keys = keys::read(&context.shared.client, &namespace, stated).await;
        keys.map_err(|error| {
            let transient = error.is_transient();
            Failure::new(Reason::GetComponentVersionFailed, &error, transient)
        })
    }

    /// Chooses the version, and says why it may not be the latest, if the versions could not be
    /// listed. One that is stated is not looked for among others. Where nobody knows any versions,
    /// the one from before counts on, if it is still one that is asked for.
    async fn choose(
        &self,
        context: &Context<Self>,
        place: &Place,
        name: &ComponentName,
        before: Option<&str>,
    ) -> Result<(Version, Option<Arc<Error>>), Failure> {
        let reason = Reason::CheckVersionFailed;
        let failed = |error: &versions::Error| Failure::new(reason, error, false);
        let filter = self.spec.semver_filter.as_deref();
        let wanted = versions::Wanted::parse(&self.spec.semver, filter);
        let wanted = wanted.map_err(|error| failed(&error))?;
        let available = match &wanted {
            versions::Wanted::Exactly(version) => return Ok((version.clone(), None)),
            versions::Wanted::Highest { .. } => context.shared.resolutions.versions(place, name),
        };
        let available = context.wait(self, available).await?;
        let error = match available {
            Ok(available) => {
                let chosen = wanted.choose(&available.versions);
                let chosen = chosen.map_err(|error| failed(&error))?;
                return Ok((chosen, available.stale));
            }
            Err(error) => error,
        };
        let is_transient = error.is_transient();
        let before = before.filter(|_| is_transient);
        let before = before.and_then(|it| wanted.choose(&[it.parse().ok()?]).ok());
        match before {
            Some(version) => Ok((version, Some(error))),
            None => Err(Failure::new(reason, &*error, is_transient)),
        }
    }

    fn info(
        &self,
        repository: &Repository,
        version: &Version,
        resolved: &Resolved,
    ) -> ComponentInfo {
        ComponentInfo {
            repository_spec: repository.spec.repository_spec.clone(),
            component: self.spec.component.clone(),
            version: version.as_str().to_owned(),
            digest: Some(DigestInfo {
                hash_algorithm: resolved.digest.hash_algorithm.clone(),
                normalisation_algorithm: resolved.digest.normalisation_algorithm.clone(),
                value: resolved.digest.value.clone(),
            }),
        }
    }
}

/// Returns what somebody may want to know about a component version that is taken all the same.
pub(crate) fn warnings(
    id: &ComponentVersionId,
    resolved: &Resolved,
) -> Vec<(&'static str, String)> {
    let mut warnings = Vec::new();
    if let Some(gaps) = &resolved.not_digestible {
        let message = format!("component version {id} is not safely digestible: {gaps}");
        warnings.push((NOT_DIGESTIBLE, message));
    }
    let stale = resolved.stale.as_deref();
    warnings.extend(stale.map(|error| counts_on(Reason::GetComponentVersionFailed, error)));
    warnings
}

/// Says why something could not be read again, where nothing is lost by it yet.
fn counts_on(reason: Reason, error: &Error) -> (&'static str, String) {
    let message = format!("{}; what was read before still counts", with_causes(error));
    (reason.name(), message)
}
