//! Reconciles `Repository`: whether a place with component versions can be used.

use ocm::model::{RepositorySpec, TypedSpec};
use serde_json::Value;

use crate::api::{Reason, Repository, RepositoryStatus};
use crate::reconcile::{
    ConfigSources, Context, Done, Failure, Reconcile, Retry, parse_interval, with_causes,
};
use crate::resolution::Place;

impl Reconcile for Repository {
    const FINALIZERS: &'static [&'static str] = &["finalizers.ocm.software/repository"];
    const LABEL: &'static str = "OCM repository";
    const DEPENDENTS: Option<&'static str> = Some("components");
    const ANNOTATION: &'static str = "repository";

    type Services = ();

    async fn reconcile(
        &self,
        context: &Context<Self>,
        status: &mut RepositoryStatus,
    ) -> Result<Done, Failure> {
        parse_interval(&self.spec.interval)
            .map_err(|message| Failure::text(Reason::InvalidSpecification, message))?;
        let effective = context.effective(self, ConfigSources::default())?;
        status.effective_ocm_config.clone_from(&effective);
        let repository = decode(&self.spec.repository_spec)?;
        let config = context.load(self, &effective, Reason::GetRepositoryFailed);
        let config = config.await?;
        let place = Place { config, repository };
        let reached = context.shared.resolutions.reach(&place);
        match context.wait(self, reached).await? {
            Ok(()) => Ok(Done::new("Successfully reconciled OCM repository")),
            // Whatever it is, somebody may put it right at the other end, where nobody tells of it: it
            // is not waited for as long as for what is well.
            Err(error) => Err(Failure {
                reason: Reason::GetRepositoryFailed,
                message: format!("health check failed: {}", with_causes(&*error)),
                retry: Retry::Soon,
            }),
        }
    }
}

/// Reads the specification of a repository. One of an unknown type is kept as it is.
pub(crate) fn decode(spec: &Value) -> Result<RepositorySpec, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(Reason::GetRepositoryFailed, error, false)
    };
    let spec = TypedSpec::from_json(spec.clone()).map_err(|error| failed(&error))?;
    RepositorySpec::try_from(spec).map_err(|error| failed(&error))
}
