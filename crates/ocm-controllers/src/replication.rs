//! Reconciles `Replication`: brings the version of a component to another repository.
//!
//! A pass only says what is to be transferred. The transfer goes on by itself, among a bounded
//! number of others, and wakes the object when it has something to say.

mod job;
mod transfers;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use ocm::config::settings::{CopyMode, Recursion as Configured, UploadType};
use ocm::model::{ComponentVersionId, RepositorySpec};
use ocm::transfer::{Recursion, ResourceCopy, TransferOptions, UploadAs};

use self::job::{Job, Moved};
pub(crate) use self::transfers::Transfers;
use self::transfers::{Ended, Progress};
use crate::api::{
    Component, ComponentInfo, ConditionStatus, ConditionType, Conditions as _, FailedTransferEvent,
    Reason, Replication, ReplicationStatus, Repository, TransferRecord,
};
use crate::config::Loaded;
use crate::object::{Object as _, beside};
use crate::reconcile::{
    ConfigSources, Context, Done, Failure, Reconcile, Retry, Shared, parse_interval, with_causes,
};
use crate::repository::decode;
use crate::resource::available;
use crate::watch::RECONCILE;

/// How many transfers are remembered in a status.
const HISTORY: usize = 10;

impl Reconcile for Replication {
    const FINALIZERS: &'static [&'static str] = &["finalizers.ocm.software/replication"];
    const LABEL: &'static str = "replication";
    const ANNOTATION: &'static str = "replication_version";

    type Services = Transfers;

    async fn reconcile(
        &self,
        context: &Context<Self>,
        status: &mut ReplicationStatus,
    ) -> Result<Done, Failure> {
        let Shared { stores, .. } = &*context.shared;
        context.services.end_of_gone(&stores.replications);
        let interval = self.check()?;
        let (component, target) = self.ends(context)?;
        let sources = ConfigSources {
            parent: component.effective_config(),
            also: target.effective_config(),
            secrets: &[],
        };
        let effective = context.effective(self, sources)?;
        status.effective_ocm_config.clone_from(&effective);
        let config = context.load(self, &effective, Reason::GetConfigurationFailed);
        let config = config.await?;
        let options = options(&config)?;
        let info = component
            .status
            .as_ref()
            .and_then(|it| it.component.as_ref());
        let info = info.ok_or_else(|| {
            let key = component.key();
            unavailable(format!("object is not ready: {}", key.path()))
        })?;
        let job = job(
            self,
            info,
            decode(&target.spec.repository_spec)?,
            config,
            options,
        )?;
        status.component = Some(info.clone());
        let relations = Arc::clone(&context.shared.relations);
        let key = self.key();
        let wake = move || relations.wake(&key);
        let uid = self.uid().unwrap_or_default();
        let resolutions = &context.shared.resolutions;
        let progress = context
            .services
            .follow(&uid, job, interval, resolutions, wake);
        self.report(context, status, progress, info, &target)
    }

    /// Ends a transfer that goes on.
    async fn clean(
        &self,
        context: &Context<Self>,
        _: &mut ReplicationStatus,
    ) -> Result<(), Failure> {
        context
            .services
            .cancel(&self.uid().unwrap_or_default())
            .await;
        Ok(())
    }
}

impl Replication {
    /// Refuses what is malformed; returns the interval.
    fn check(&self) -> Result<Option<Duration>, Failure> {
        let malformed = |message| Failure::text(Reason::InvalidSpecification, message);
        let namespace = self.namespace();
        let stated = self.spec.component_ref.namespace.as_ref();
        if stated.is_some_and(|it| Some(it) != namespace.as_ref()) {
            return Err(malformed(
                "componentRef.namespace must be the namespace of the object itself".to_owned(),
            ));
        }
        let interval = self.spec.interval.as_deref().map(parse_interval);
        Ok(interval.transpose().map_err(malformed)?.flatten())
    }

    /// Returns where the component version is from, and where it is to go.
    fn ends(&self, context: &Context<Self>) -> Result<(Arc<Component>, Arc<Repository>), Failure> {
        let stores = &context.shared.stores;
        let name = &self.spec.component_ref.name;
        let component = available(&stores.components, &beside(self, Component::KIND, name))?;
        let name = &self.spec.target_repository_ref.name;
        let target = available(&stores.repositories, &beside(self, Repository::KIND, name));
        let target = target.map_err(|failure| Failure {
            reason: Reason::GetRepositoryFailed,
            ..failure
        })?;
        Ok((component, target))
    }

    /// Writes into the status how a transfer goes.
    fn report(
        &self,
        context: &Context<Self>,
        status: &mut ReplicationStatus,
        progress: Progress,
        info: &ComponentInfo,
        target: &Repository,
    ) -> Result<Done, Failure> {
        let version = &info.version;
        let digest = info.digest.as_ref().map(|it| it.value.as_str());
        let mut state = |is_under_way, reason, message: &str| {
            status.conditions.state(
                ConditionType::TransferInProgress,
                if is_under_way {
                    ConditionStatus::True
                } else {
                    ConditionStatus::False
                },
                reason,
                message,
                self.metadata.generation,
                (context.shared.clock)(),
            );
        };
        match progress {
            Progress::Planning | Progress::Moving { .. } => {
                let transferring = format!("transferring component version {version}");
                let message = match progress {
                    Progress::Moving { done, of } => {
                        format!("{transferring}: {done} of {of} component versions are there")
                    }
                    _ => transferring,
                };
                if matches!(progress, Progress::Moving { .. }) {
                    state(true, Reason::TransferInProgress, &message);
                }
                // What is looked at again is there until something else is found.
                let is_there =
                    digest.is_some() && status.last_transferred_digest.as_deref() == digest;
                Err(Failure {
                    reason: Reason::TransferInProgress,
                    message,
                    retry: if is_there {
                        Retry::WhenWoken
                    } else {
                        Retry::WhenFinished
                    },
                })
            }
            Progress::Ended(ended) => {
                let record = record(info, target, &ended);
                match &ended.outcome {
                    Ok(moved) => {
                        let message = format!("transferred component version {version}");
                        state(false, Reason::TransferComplete, &message);
                        status.last_transferred_version = Some(version.clone());
                        status.last_transferred_digest = digest.map(str::to_owned);
                        status.last_failed_transfer_events = Vec::new();
                        if *moved == Moved::Something {
                            remember(&mut status.history, record);
                        }
                        Ok(Done::new(format!(
                            "Successfully transferred component version {version}"
                        )))
                    }
                    Err(error) => {
                        let text = with_causes(&**error);
                        let message = format!("transfer attempt aborted because of error: {text}");
                        state(false, Reason::ReplicationFailed, &message);
                        let id = format!("{}:{version}", info.component);
                        status.last_failed_transfer_events = vec![FailedTransferEvent {
                            name: format!("{id} [ComponentVersion]"),
                            id,
                            error: text,
                        }];
                        remember(&mut status.history, record);
                        let transient = error.is_transient();
                        Err(Failure::new(Reason::ReplicationFailed, &**error, transient))
                    }
                }
            }
        }
    }
}

/// What is transferred, as the component has it, and by which settings.
fn job(
    object: &Replication,
    info: &ComponentInfo,
    target: RepositorySpec,
    config: Loaded,
    options: TransferOptions,
) -> Result<Job, Failure> {
    let unavailable = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(Reason::ResourceIsNotAvailable, error, false)
    };
    let id = format!("{}:{}", info.component, info.version);
    let id: ComponentVersionId = id.parse().map_err(|error| unavailable(&error))?;
    Ok(Job {
        id,
        digest: info.digest.clone(),
        source: decode(&info.repository_spec)?,
        target,
        config,
        options,
        asked: object.annotations().get(RECONCILE).cloned(),
    })
}

/// Returns how the configuration has component versions transferred.
fn options(config: &Loaded) -> Result<TransferOptions, Failure> {
    let configured = config.config.transfer();
    let configured =
        configured.map_err(|error| Failure::new(Reason::GetConfigurationFailed, &error, false))?;
    Ok(TransferOptions {
        recursive: match configured.recursion {
            Some(Configured::All) => Recursion::Unlimited,
            Some(Configured::Depth(depth)) => Recursion::Depth(depth),
            None => Recursion::None,
        },
        copy_resources: match configured.copy_mode {
            Some(CopyMode::AllResources) => ResourceCopy::All,
            _ => ResourceCopy::LocalOnly,
        },
        upload_as: match configured.upload_type {
            Some(UploadType::OciArtifact) => UploadAs::OciArtifact,
            _ => UploadAs::LocalBlob,
        },
        ..TransferOptions::default()
    })
}

fn unavailable(message: String) -> Failure {
    Failure::text(Reason::ResourceIsNotAvailable, message)
}

fn record(info: &ComponentInfo, target: &Repository, ended: &Ended) -> TransferRecord {
    TransferRecord {
        component: info.component.clone(),
        version: info.version.clone(),
        source_repository_spec: info.repository_spec.clone(),
        target_repository_spec: target.spec.repository_spec.clone(),
        start_time: ended.began,
        end_time: ended.at,
        success: ended.outcome.is_ok(),
        error: ended.outcome.as_ref().err().map(|it| with_causes(&**it)),
    }
}

/// Puts a transfer before those that were earlier. One that failed as the one before it takes its
/// place, so that trying again does not crowd out what has succeeded.
fn remember(history: &mut Vec<TransferRecord>, record: TransferRecord) {
    let is_known = |it: &TransferRecord| it.start_time == record.start_time;
    if history.first().is_some_and(is_known) {
        return;
    }
    let is_same = |it: &TransferRecord| {
        !record.success
            && it.error == record.error
            && it.version == record.version
            && it.component == record.component
            && it.target_repository_spec == record.target_repository_spec
    };
    if history.first().is_some_and(is_same) {
        history.remove(0);
    }
    history.insert(0, record);
    history.truncate(HISTORY);
}

#[cfg(test)]
mod tests {
    use ocm::Timestamp;
    use serde_json::json;

    use super::*;

    fn at(second: i64, error: Option<&str>) -> TransferRecord {
        let time = Timestamp::from_second(second).unwrap();
        TransferRecord {
            component: "acme.org/shop".to_owned(),
            version: "1.0.0".to_owned(),
            source_repository_spec: json!({}),
            target_repository_spec: json!({}),
            start_time: time,
            end_time: time,
            success: error.is_none(),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn the_history_is_bounded_and_what_fails_again_is_there_once() {
        let mut history = Vec::new();
        for (second, error) in [
            (1, None),
            (2, Some("a")),
            (3, Some("a")),
            (4, Some("b")),
            (5, None),
        ] {
            remember(&mut history, at(second, error));
            // The same transfer is told more than once.
            remember(&mut history, at(second, error));
        }
        let seconds: Vec<_> = history.iter().map(|it| it.start_time.as_second()).collect();
        assert_eq!(seconds, [5, 4, 3, 1]);
        for second in 6..30 {
            remember(&mut history, at(second, None));
        }
        assert_eq!(history.len(), HISTORY);
        assert_eq!(history[0].start_time.as_second(), 29);
    }
}
