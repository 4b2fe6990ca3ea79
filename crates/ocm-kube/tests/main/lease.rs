//! One leads, and the others wait for it.

use std::time::Duration;

use jiff::Timestamp;
use ocm_kube::lease::{Election, Led, Times};
use ocm_testkit::Cluster;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cluster::{client, client_of, kubectl};

const TIMES: Times = Times {
    duration: Duration::from_mins(1),
    deadline: Duration::from_secs(20),
    retry: Duration::from_millis(50),
};

async fn election(namespace: &str, identity: &str, times: Times) -> Election {
    let client = client().await;
    Election::new(client, namespace, "lock", identity, times, Timestamp::now)
}

/// Runs `kubectl` beside what else goes on.
async fn run(arguments: String) -> String {
    let run = tokio::task::spawn_blocking(move || kubectl(&arguments));
    run.await.unwrap()
}

fn holder(namespace: &str) -> String {
    kubectl(&format!(
        "-n {namespace} get lease lock -o jsonpath={{.spec.holderIdentity}}"
    ))
}

#[tokio::test]
async fn one_leads_at_a_time_and_hands_over_without_waiting() {
    let namespace = Cluster::shared().namespace();
    let first = election(&namespace, "first", TIMES).await;
    let second = election(&namespace, "second", TIMES).await;
    let stop = CancellationToken::new();
    let (started, leads) = oneshot::channel();
    let (finish, finished) = oneshot::channel::<()>();
    let watch = stop.clone();
    let leading = tokio::spawn(async move {
        let work = async {
            started.send(()).unwrap();
            finished.await.unwrap();
            1
        };
        first.lead(&watch, work).await
    });
    leads.await.unwrap();
    assert_eq!(holder(&namespace), "first");
    let waiting = tokio::spawn(async move { second.lead(&stop, async { 2 }).await });
    assert_eq!(
        run(format!(
            "-n {namespace} get lease lock -o jsonpath={{.spec.holderIdentity}}"
        ))
        .await,
        "first"
    );
    assert!(!waiting.is_finished());
    finish.send(()).unwrap();
    assert_eq!(leading.await.unwrap(), Led::Done(1));
    let second = tokio::time::timeout(TIMES.duration / 2, waiting).await;
    assert_eq!(second.unwrap().unwrap(), Led::Done(2));
    assert_eq!(holder(&namespace), "");
}

#[tokio::test]
async fn a_leader_that_says_nothing_is_replaced() {
    let namespace = Cluster::shared().namespace();
    let times = Times {
        duration: Duration::from_secs(1),
        ..TIMES
    };
    let first = election(&namespace, "first", times).await;
    let (started, leads) = oneshot::channel();
    let dies = tokio::spawn(async move {
        let work = async {
            started.send(()).unwrap();
            std::future::pending::<()>().await;
        };
        first.lead(&CancellationToken::new(), work).await
    });
    leads.await.unwrap();
    dies.abort();
    let second = election(&namespace, "second", times).await;
    let led = second
        .lead(&CancellationToken::new(), async { holder(&namespace) })
        .await;
    assert_eq!(led, Led::Done("second".to_owned()));
    let transitions = kubectl(&format!(
        "-n {namespace} get lease lock -o jsonpath={{.spec.leaseTransitions}}"
    ));
    assert_eq!(transitions, "2");
}

/// Tells when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.take().unwrap().send(()).unwrap();
    }
}

#[tokio::test]
async fn work_is_dropped_when_another_one_has_the_lease() {
    let namespace = Cluster::shared().namespace();
    let election = election(&namespace, "first", TIMES).await;
    let (dropped, told) = oneshot::channel();
    let guard = Dropped(Some(dropped));
    let name = namespace.clone();
    let work = async move {
        let _guard = guard;
        run(format!(
            "-n {name} patch lease lock --type=merge -p {{\"spec\":{{\"holderIdentity\":\"thief\"}}}}"
        ))
        .await;
        std::future::pending::<()>().await;
    };
    assert_eq!(
        election.lead(&CancellationToken::new(), work).await,
        Led::Lost
    );
    told.await.unwrap();
    assert_eq!(holder(&namespace), "thief");
}

#[tokio::test]
async fn a_change_of_the_lease_by_others_loses_nothing_while_the_holder_is_the_same() {
    let namespace = Cluster::shared().namespace();
    let election = election(&namespace, "first", TIMES).await;
    let name = namespace.clone();
    let work = async move {
        run(format!("-n {name} label lease lock a=b")).await;
        let renewed = || {
            run(format!(
                "-n {name} get lease lock -o jsonpath={{.spec.renewTime}}"
            ))
        };
        let before = renewed().await;
        while renewed().await == before {}
    };
    assert_eq!(
        election.lead(&CancellationToken::new(), work).await,
        Led::Done(())
    );
}

#[tokio::test]
async fn the_lease_is_handed_back_also_when_it_is_not_as_it_was_last_seen() {
    let namespace = Cluster::shared().namespace();
    // Nothing is renewed after the change, so that it is not seen.
    let times = Times {
        retry: TIMES.deadline,
        ..TIMES
    };
    let election = election(&namespace, "first", times).await;
    let change = run(format!("-n {namespace} label lease lock a=b"));
    let led = election.lead(&CancellationToken::new(), change).await;
    assert!(matches!(led, Led::Done(_)), "{led:?}");
    assert_eq!(holder(&namespace), "");
}

#[tokio::test]
async fn work_is_dropped_when_the_api_server_has_gone() {
    let cluster = Cluster::start();
    let client = client_of(&cluster.kubeconfig()).await;
    let times = Times {
        deadline: Duration::from_secs(2),
        ..TIMES
    };
    let election = Election::new(client, "default", "lock", "first", times, Timestamp::now);
    let work = async {
        cluster.stop_api_server();
        std::future::pending::<()>().await;
    };
    assert_eq!(
        election.lead(&CancellationToken::new(), work).await,
        Led::Lost
    );
}

#[tokio::test]
async fn who_waits_can_be_stopped() {
    let namespace = Cluster::shared().namespace();
    let first = election(&namespace, "first", TIMES).await;
    let second = election(&namespace, "second", TIMES).await;
    let work = async {
        let stop = CancellationToken::new();
        let (led, ()) = tokio::join!(second.lead(&stop, async {}), async { stop.cancel() });
        led
    };
    let led = first.lead(&CancellationToken::new(), Box::pin(work)).await;
    assert_eq!(led, Led::Done(Led::NotElected));
}
