//! The operator, and waiting for what it does.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::Duration;

use kube::core::NamespaceResourceScope;
use kube::runtime::wait::await_condition;
use kube::{Api, Resource};
use ocm::Timestamp;
use ocm_controllers::api::{Component, Condition, Deployer, Repository};
use ocm_controllers::operator::{Downloads, Operator, Options};
use ocm_controllers::resolution;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::world::{client, cluster, text};

/// How long something may take before the test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// Starts the operator, once for all tests.
pub(crate) fn operator() {
    static STARTED: OnceLock<()> = OnceLock::new();
    cluster();
    STARTED.get_or_init(|| {
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let operator = Operator::new(client().await, options());
                operator.run(CancellationToken::new()).await;
            });
        });
    });
}

/// How the operator of the tests works.
pub(crate) fn options() -> Options {
    let options = Options::new("test".to_owned(), Timestamp::now);
    Options {
        resolution: resolution::Options {
            fresh_for: Duration::ZERO,
            ..options.resolution
        },
        downloads: Downloads {
            limit: 4 << 20,
            ..options.downloads
        },
        ..options
    }
}

/// Runs kubectl in a namespace.
pub(crate) fn kubectl(namespace: &str, arguments: &[&str]) -> String {
    let arguments = [&["-n", namespace], arguments].concat();
    let output = cluster().kubectl(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Waits until an object is as it should be; returns it.
pub(crate) async fn wait<K>(namespace: &str, name: &str, is_so: impl Fn(&K) -> bool) -> K
where
    K: Clone
        + Debug
        + DeserializeOwned
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Send
        + 'static,
{
    wait_in(Api::<K>::namespaced(client().await, namespace), name, is_so).await
}

/// As [`wait`], for an object that is in no namespace.
pub(crate) async fn wait_everywhere<K>(name: &str, is_so: impl Fn(&K) -> bool) -> K
where
    K: Clone + Debug + DeserializeOwned + Resource<DynamicType = ()> + Send + 'static,
{
    wait_in(Api::<K>::all(client().await), name, is_so).await
}

/// As [`wait`], for an object of a cluster that is not that of all tests.
pub(crate) async fn wait_in<K>(api: Api<K>, name: &str, is_so: impl Fn(&K) -> bool) -> K
where
    K: Clone + Debug + DeserializeOwned + Resource<DynamicType = ()> + Send + 'static,
{
    let condition = |object: Option<&K>| object.is_some_and(&is_so);
    let waited = await_condition(api.clone(), name, condition);
    let Ok(object) = tokio::time::timeout(PATIENCE, waited).await else {
        panic!("{name} is not as expected: {:?}", api.get_opt(name).await);
    };
    object.unwrap().unwrap()
}

/// Waits until an object has gone.
pub(crate) async fn gone<K>(namespace: &str, name: &str)
where
    K: Clone
        + Debug
        + DeserializeOwned
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Send
        + 'static,
{
    gone_from(Api::<K>::namespaced(client().await, namespace), name).await;
}

/// As [`gone`], for an object that is in no namespace.
pub(crate) async fn gone_everywhere<K>(name: &str)
where
    K: Clone + Debug + DeserializeOwned + Resource<DynamicType = ()> + Send + 'static,
{
    gone_from(Api::<K>::all(client().await), name).await;
}

/// As [`gone`], for an object of a cluster that is not that of all tests.
pub(crate) async fn gone_from<K>(api: Api<K>, name: &str)
where
    K: Clone + Debug + DeserializeOwned + Resource<DynamicType = ()> + Send + 'static,
{
    let waited = await_condition(api.clone(), name, |object: Option<&K>| object.is_none());
    let gone = tokio::time::timeout(PATIENCE, waited).await.is_ok();
    assert!(gone, "{name} is still there: {:?}", api.get_opt(name).await);
}

/// Has an object looked at again.
pub(crate) fn look_again(namespace: &str, kind: &str, name: &str, value: &str) {
    let annotation = format!("delivery.ocm.software/reconcile={value}");
    kubectl(
        namespace,
        &["annotate", "--overwrite", kind, name, &annotation],
    );
}

/// Status, reason and message of readiness, for the generation that the object has.
pub(crate) fn readiness(conditions: &[Condition], generation: Option<i64>) -> String {
    let ready = conditions.iter().find(|it| it.kind == "Ready");
    let current = ready.filter(|it| it.observed_generation == generation);
    current.map_or_else(String::new, |it| {
        format!("{:?} {}: {}", it.status, it.reason, it.message)
    })
}

pub(crate) fn of_component(component: &Component) -> String {
    let status = component.status.as_ref();
    readiness(
        status.map_or(&[], |it| &it.conditions),
        component.metadata.generation,
    )
}

pub(crate) fn of_repository(repository: &Repository) -> String {
    let status = repository.status.as_ref();
    readiness(
        status.map_or(&[], |it| &it.conditions),
        repository.metadata.generation,
    )
}

pub(crate) fn of_resource(resource: &ocm_controllers::api::Resource) -> String {
    let status = resource.status.as_ref();
    readiness(
        status.map_or(&[], |it| &it.conditions),
        resource.metadata.generation,
    )
}

pub(crate) fn of_deployer(deployer: &Deployer) -> String {
    let status = deployer.status.as_ref();
    readiness(
        status.map_or(&[], |it| &it.conditions),
        deployer.metadata.generation,
    )
}
