//! Reconciles `Deployer`: the manifests of a resource become objects of the cluster, and stay so.

mod decide;
mod metadata;
mod sets;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::DynamicObject;
use kube::{Resource as _, ResourceExt as _};
use ocm::blob::{self, Bytes};
use ocm::model::DigestSpec;
use ocm_kube::applyset::Report;
use ocm_kube::manifest;
use ocm_kube::turns::Turns;

use crate::api::{
    ComponentInfo, ConditionType, Conditions as _, DeployedObject, Deployer, DeployerStatus,
    DigestInfo, Reason, Resource, ResourceInfo,
};
use crate::config::ObjectKey;
use crate::object::Object as _;
use crate::reconcile::{ConfigSources, Context, Done, Failure, Reconcile, Retry};
use crate::resource::{Located, available, chosen, containing, is_strict, locate};

use self::decide::{Verdict, verdict};
pub use self::metadata::{MANAGER, Origin};
pub(crate) use self::sets::Sets;

/// How long until a deployer is looked at again whose objects cannot be watched.
const WHILE_UNWATCHED: Duration = Duration::from_mins(5);

/// How many manifests are applied at a time, and for how long one counts among them. One counts as
/// several that has more bytes: its objects take many times as much memory.
const APPLYING: usize = 16;
const TURN: Duration = Duration::from_secs(5);
const BYTES: usize = 256 << 10;

/// What deployers share.
pub(crate) struct Deployments {
    sets: Arc<Sets>,
    /// Manifests whose objects are in memory.
    turns: Turns,
    /// How many bytes the content of a manifest may have, if there is a bound.
    limit: Option<u64>,
}

impl Deployments {
    /// Shares sets, for manifests up to a number of bytes; zero is no bound.
    pub(crate) fn new(sets: Arc<Sets>, limit: u64) -> Self {
        Self {
            sets,
            turns: Turns::new(APPLYING, TURN),
            limit: (limit > 0).then_some(limit),
        }
    }
}

impl Reconcile for Deployer {
    const FINALIZERS: &'static [&'static str] = &[
        "delivery.ocm.software/applyset-prune",
        "delivery.ocm.software/watch",
    ];
    const KEPT_BY_WORK: bool = true;
    const LABEL: &'static str = "deployer";
    const ANNOTATION: &'static str = "resource_version";

    type Services = Deployments;

    async fn reconcile(
        &self,
        context: &Context<Self>,
        status: &mut DeployerStatus,
    ) -> Result<Done, Failure> {
        let resource = self.resource(context)?;
        let known = known(&resource)?;
        context
            .services
            .sets
            .forget_gone(&context.shared.stores.deployers);
        let located = self.locate(context, &resource, known, status).await?;
        let bytes = self.content(context, &resource, known, &located).await?;
        let Deployments { sets, turns, limit } = &context.services;
        let weight = bytes.len() / BYTES;
        let apply = async {
            let objects = self.objects(&resource, known, bytes, *limit).await?;
            let report = sets
                .apply(self, objects, status.applied_digest.clone())
                .await;
            report.map_err(|error| Failure::new(Reason::ApplyFailed, &error, true))
        };
        let report = turns.take_several(weight, Box::pin(apply)).await?;

        status.deployed = decide::deployed(&status.deployed, &report);
        status.applied_digest.clone_from(&report.left);
        let verdict = verdict(&report.outcomes);
        let since = self.state_health(context, status, &verdict);
        if let Some(message) = decide::failure(&report) {
            let retry = if decide::is_final(&report) {
                Retry::AtInterval
            } else {
                Retry::Soon
            };
            return Err(Failure {
                retry,
                ..Failure::text(Reason::ApplyFailed, message)
            });
        }
        let id = located.found().descriptor.id();
        let message = format!("Applied {id}, resource {}", located.resource.name);
        let problems = sets.problems(self);
        let again = match decide::next_look(&verdict, &report.outcomes, since) {
            None if !problems.is_empty() => Some(WHILE_UNWATCHED),
            again => again,
        };
        Ok(Done {
            warnings: warnings(&report, &problems),
            again,
            ..Done::new(message)
        })
    }

    /// Deletes the objects, and waits until they have gone.
    async fn clean(
        &self,
        context: &Context<Self>,
        status: &mut DeployerStatus,
    ) -> Result<(), Failure> {
        let reason = Reason::DeletionFailed;
        let left = context.services.sets.delete(self).await;
        let left = left.map_err(|error| Failure::new(reason, &error, true))?;
        if left.is_empty() {
            return Ok(());
        }
        let is_left = |it: &DeployedObject| left.contains(&decide::key(it));
        status.deployed.retain(is_left);
        let names: Vec<_> = left.iter().map(ToString::to_string).collect();
        let names = decide::shortened(&names, ", ");
        let message =
            format!("deployer is being deleted, and waits until these have gone: {names}");
        Err(Failure {
            retry: Retry::WhenWoken,
            ..Failure::text(reason, message)
        })
    }
}

impl Deployer {
    /// Returns the resource object, if it can be used. If not, it is watched.
    fn resource(&self, context: &Context<Self>) -> Result<Arc<Resource>, Failure> {
        let reference = &self.spec.resource_ref;
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let key = ObjectKey::new(Resource::KIND, namespace, &reference.name);
        available(&context.shared.stores.resources, &key)
    }

    /// Finds the resource that is to be deployed, and makes sure that it is the one that the
    /// resource object is about.
    async fn locate(
        &self,
        context: &Context<Self>,
        resource: &Resource,
        known: (&ResourceInfo, &ComponentInfo),
        status: &mut DeployerStatus,
    ) -> Result<Located, Failure> {
        let sources = ConfigSources {
            parent: resource.effective_config(),
            ..ConfigSources::default()
        };
        let effective = context.effective(self, sources)?;
        status.effective_ocm_config.clone_from(&effective);
        // What a namespace has handed on is used on its behalf, however little hinders a deployer.
        let user = if decide::states_all(self.stated_config()) {
            None
        } else {
            resource.namespace()
        };
        let reason = Reason::GetConfigurationFailed;
        let config = context.load_for(user.as_deref(), &effective, reason);
        let config = config.await?;
        let component = resource.component(context).map_err(|failure| Failure {
            // The deployer hears of its resource alone.
            retry: match failure.retry {
                Retry::AtInterval => Retry::Soon,
                retry => retry,
            },
            ..failure
        })?;
        let chosen = chosen(&component)?;
        let located = locate(context, self, &component, chosen, resource, config).await?;
        let now = containing(chosen, &located);
        let stated = located.resource.digest.as_ref();
        if (&now.component, &now.version) != (&known.1.component, &known.1.version)
            || decide::has_drifted(stated, known.0.digest.as_ref())
        {
            // The resource object will follow, and then this one.
            context.shared.relations.wake(&resource.key());
            let message = "component version drift: resource status has not yet caught up with \
                           component";
            let reason = Reason::ComponentDriftResolutionInProgress;
            return Err(Failure {
                retry: Retry::WhenWoken,
                ..Failure::text(reason, message)
            });
        }
        Ok(located)
    }

    /// Reads the manifest.
    async fn content(
        &self,
        context: &Context<Self>,
        resource: &Resource,
        known: (&ResourceInfo, &ComponentInfo),
        located: &Located,
    ) -> Result<Bytes, Failure> {
        let reason = Reason::GetOcmResourceFailed;
        let mut wanted = located.content();
        let digest = wanted.resource.digest.as_ref();
        let is_covered = digest.is_some_and(|it| it.is_complete() && !it.is_excluded());
        if located.is_signed && !is_covered {
            let message = "the component is verified, but the resource states no digest, so that \
                           no signature covers its content";
            return Err(Failure::text(reason, message));
        }
        if is_strict(resource) && !is_covered {
            // What the resource object has looked at, and nothing else.
            wanted.resource.digest = known.0.digest.as_ref().map(spec);
        }
        let limit = context.services.limit;
        let ticket = context.shared.resolutions.content(&wanted, limit);
        let bytes = context.wait(self, ticket).await?;
        // Also what is not as its digest says: somebody may put it right, and nobody tells.
        bytes.map_err(|error| Failure::new(reason, &*error, true))
    }

    /// Reads the objects of a manifest, as they are to be applied.
    async fn objects(
        &self,
        resource: &Resource,
        known: (&ResourceInfo, &ComponentInfo),
        bytes: Bytes,
        limit: Option<u64>,
    ) -> Result<Vec<DynamicObject>, Failure> {
        let reason = Reason::GetOcmResourceFailed;
        let limits = manifest::Limits::default();
        let limits = manifest::Limits {
            bytes: limits.bytes.max(limit.unwrap_or(u64::MAX)),
            ..limits
        };
        let objects = manifest::read(blob::once(bytes), limits).await;
        let mut objects = objects.map_err(|error| Failure::new(reason, &error, false))?;
        let origin = Origin {
            deployer: &self.name_any(),
            resource_name: &resource.name_any(),
            resource_uid: &resource.uid().unwrap_or_default(),
            resource: known.0,
            component: known.1,
        };
        let owned = decide::owned(&mut objects, &origin, &self.as_owner());
        owned.map_err(|error| Failure::new(Reason::ApplyFailed, &error, false))?;
        if objects.iter().any(|it| decide::is_deployer(it, self)) {
            let message = "the manifest has the deployer itself, which would wait for itself to go";
            return Err(Failure::text(Reason::ApplyFailed, message));
        }
        Ok(objects)
    }

    fn as_owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: Self::api_version(&()).into_owned(),
            kind: Self::kind(&()).into_owned(),
            name: self.name_any(),
            uid: self.uid().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// Says whether what was applied is ready; returns for how long it has been so.
    fn state_health(
        &self,
        context: &Context<Self>,
        status: &mut DeployerStatus,
        verdict: &Verdict,
    ) -> Duration {
        let now = (context.shared.clock)();
        let Verdict {
            status: is_so,
            reason,
            message,
        } = verdict;
        let generation = self.metadata.generation;
        let kind = ConditionType::Healthy;
        status
            .conditions
            .state(kind, *is_so, *reason, message, generation, now);
        let condition = status.conditions.condition(kind);
        let since = condition.map_or(now, |it| it.last_transition_time);
        now.duration_since(since).unsigned_abs()
    }
}

fn spec(digest: &DigestInfo) -> DigestSpec {
    DigestSpec {
        hash_algorithm: digest.hash_algorithm.clone(),
        normalisation_algorithm: digest.normalisation_algorithm.clone(),
        value: digest.value.clone(),
    }
}

/// Returns what a resource object has found.
fn known(resource: &Resource) -> Result<(&ResourceInfo, &ComponentInfo), Failure> {
    let status = resource.status.as_ref();
    let known = status.and_then(|it| Some((it.resource.as_ref()?, it.component.as_ref()?)));
    known.ok_or_else(|| {
        let message = "resource is empty in status";
        Failure::text(Reason::ResourceIsNotAvailable, message)
    })
}

/// Returns what somebody may want to look at although all is applied.
fn warnings(report: &Report, problems: &[(String, String)]) -> Vec<(&'static str, String)> {
    let mut warnings = Vec::new();
    let adopted = decide::adopted(report);
    if !adopted.is_empty() {
        let names = decide::shortened(&adopted, ", ");
        let message =
            format!("objects that were there already belong to this deployer now: {names}");
        warnings.push(("Adopted", message));
    }
    for (kind, problem) in problems {
        let message = format!("changes of objects of kind {kind} go unnoticed: {problem}");
        warnings.push((Reason::ResourceNotSynced.name(), message));
    }
    warnings
}
