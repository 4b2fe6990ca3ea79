//! Leader election: of several replicas one works, and the others wait for it to end.
//!
//! The leader holds a Lease and renews it. It hands it back when it is done, so that the next one
//! need not wait for it to expire. A leader that can no longer renew it stops its work before
//! another one may begin: time-outs are judged by each replica's own steady clock.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;

/// A lease, and who wants it.
#[derive(Clone)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    times: Times,
    clock: fn() -> Timestamp,
}

/// How long things take in an election.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Times {
    /// How long others wait for a leader that says nothing. Whole seconds.
    pub duration: Duration,
    /// How long a leader goes on that cannot renew its lease: less than the duration.
    pub deadline: Duration,
    /// How often the lease is renewed, and looked at by those who wait.
    pub retry: Duration,
}

impl Default for Times {
    /// As most controllers have them.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// How leading has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Led<T> {
    /// The work is done, and the lease handed back.
    Done(T),
    /// The lease was lost in the middle of the work, which was dropped.
    Lost,
    /// It was stopped before it was this replica's turn.
    NotElected,
}

impl Election {
    /// Wants the lease of a name in a namespace. The identity is another one in each replica.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        times: Times,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            times,
            clock,
        }
    }

    /// Waits for the lease, and works while holding it.
    ///
    /// Once `stop` is cancelled, nothing is waited for any more; work that has begun is to end by
    /// itself, for which it looks at the same token.
    ///
    /// # Cancellation
    ///
    /// Work is dropped where the lease is lost. If this itself is dropped, the lease expires.
    pub async fn lead<T>(&self, stop: &CancellationToken, work: impl Future<Output = T>) -> Led<T> {
        let Some((mut held, asked)) = stop.run_until_cancelled(self.acquire()).await else {
            return Led::NotElected;
        };
        tracing::info!(lease = %self.name, identity = %self.identity, "leading");
        let done = {
            let mut work = pin!(work);
            tokio::select! {
                done = &mut work => Some(done),
                () = self.hold(&mut held, asked) => None,
            }
        };
        let Some(done) = done else {
            tracing::warn!(lease = %self.name, identity = %self.identity, "no longer leading");
            return Led::Lost;
        };
        self.release(held).await;
        Led::Done(done)
    }

    /// Waits until the lease is ours. Returns as well since when others may count on it.
    async fn acquire(&self) -> (Lease, Instant) {
        // The version of the lease of another, and since when it is that.
        let mut observed: Option<(String, Instant)> = None;
        loop {
            let asked = Instant::now();
            match self.try_acquire(&mut observed).await {
                Ok(Some(lease)) => return (lease, asked),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(lease = %self.name, %error, "cannot look at the lease");
                }
            }
            sleep(self.times.retry).await;
        }
    }

    async fn try_acquire(
        &self,
        observed: &mut Option<(String, Instant)>,
    ) -> Result<Option<Lease>, ApiError> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: None,
            };
            let lease = self.taken(lease);
            let created = self.api.create(&PostParams::default(), &lease).await;
            return won(created);
        };
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|it| it.holder_identity.as_deref());
        let holder = holder.filter(|it| !it.is_empty());
        if holder.is_some_and(|it| it != self.identity) {
            let version = lease.resource_version().unwrap_or_default();
            let seconds = spec.and_then(|it| it.lease_duration_seconds);
            let duration = seconds.and_then(|it| u64::try_from(it).ok());
            let duration = duration.map_or(self.times.duration, Duration::from_secs);
            match observed {
                Some((seen, since)) if *seen == version => {
                    if since.elapsed() < duration {
                        return Ok(None);
                    }
                }
                _ => {
                    *observed = Some((version, Instant::now()));
                    return Ok(None);
                }
            }
        }
        won(self.replace(&self.taken(lease)).await)
    }

    /// Renews the lease until that is no longer possible. An answer may be late, so what counts is
    /// when it was asked for.
    async fn hold(&self, held: &mut Lease, mut renewed: Instant) {
        loop {
            sleep(self.times.retry).await;
            let left = self.times.deadline.saturating_sub(renewed.elapsed());
            let asked = Instant::now();
            match timeout(left, self.renew(held)).await {
                Ok(Ok(Some(lease))) => {
                    *held = lease;
                    renewed = asked;
                }
                Ok(Err(error)) => {
                    tracing::warn!(lease = %self.name, %error, "cannot renew the lease");
                }
                // Another one has it, or it is too late.
                Ok(Ok(None)) | Err(_) => return,
            }
        }
    }

    /// Renews the lease; `None` if another one has it.
    async fn renew(&self, held: &Lease) -> Result<Option<Lease>, ApiError> {
        if let Some(lease) = won(self.replace(&self.taken(held.clone())).await)? {
            return Ok(Some(lease));
        }
        // Somebody has changed it, though not necessarily its holder.
        let now = self.api.get_opt(&self.name).await?;
        match now.filter(|it| holder(it) == Some(&self.identity)) {
            Some(now) => won(self.replace(&self.taken(now)).await),
            None => Ok(None),
        }
    }

    /// Hands the lease back.
    async fn release(&self, held: Lease) {
        match timeout(self.times.deadline, self.try_release(held)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.name, %error, "cannot hand the lease back");
            }
            Err(_) => tracing::warn!(lease = %self.name, "cannot hand the lease back in time"),
        }
    }

    /// Hands the lease back, also where it is no longer as it was last seen: a renewal may have
    /// been under way when the work was done, and its answer is then not known.
    async fn try_release(&self, mut held: Lease) -> Result<(), ApiError> {
        loop {
            if let Some(spec) = &mut held.spec {
                spec.holder_identity = Some(String::new());
                spec.lease_duration_seconds = Some(1);
                spec.renew_time = Some(MicroTime((self.clock)()));
            }
            if won(self.replace(&held).await)?.is_some() {
                return Ok(());
            }
            let now = self.api.get_opt(&self.name).await?;
            match now.filter(|it| holder(it) == Some(&self.identity)) {
                Some(now) => held = now,
                None => return Ok(()),
            }
        }
    }

    async fn replace(&self, lease: &Lease) -> kube::Result<Lease> {
        // It has its version, so that of two who want it one is refused.
        self.api
            .replace(&self.name, &PostParams::default(), lease)
            .await
    }

    /// Returns a lease that is ours, as from now.
    fn taken(&self, mut lease: Lease) -> Lease {
        let now = MicroTime((self.clock)());
        let ours = holder(&lease) == Some(&self.identity);
        let before = lease.spec.unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        let acquired = before.acquire_time.filter(|_| ours);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.times.duration.as_secs()).ok(),
            acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions + i32::from(!ours)),
            ..before
        });
        lease
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref()
}

/// Losing against another one is no error.
fn won(written: kube::Result<Lease>) -> Result<Option<Lease>, ApiError> {
    match written.map_err(ApiError::from) {
        Ok(lease) => Ok(Some(lease)),
        Err(error) if error.is_conflict() => Ok(None),
        Err(error) => Err(error),
    }
}
