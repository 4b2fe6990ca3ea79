//! The program itself: killed by the system at any moment, and what it needs of memory.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use kube::Api;
use ocm_controllers::api::Deployer;
use ocm_testkit::{Disturbance, FaultProxy};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::World;
use super::kills::{Killer, nothing_is_left, story};
use crate::delivery::{Packing, component, config_map, deployer, repository, resource};
use crate::gate::Gate;
use crate::running::{gone_from, of_deployer, wait_in};
use crate::world::COMPONENT;

/// After how many writes to the API server the program is killed, and after how many requests to
/// the registry; both of each phase.
const WRITES: &[usize] = &[1, 4, 7, 10, 13];
const REQUESTS: &[usize] = &[0, 1, 3];

/// The program at work. It is killed at the end, if it was not before.
struct Process {
    child: Arc<Mutex<Child>>,
    _directory: TempDir,
}

impl Process {
    fn start(kubeconfig: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ocm-controllers"))
            .arg("--health-probe-bind-address=0")
            .args(arguments)
            .current_dir(directory.path())
            .env_clear()
            .env("KUBECONFIG", &path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self {
            child: Arc::new(Mutex::new(child.unwrap())),
            _directory: directory,
        }
    }

    fn kill(&self) {
        kill(&self.child);
    }

    /// Returns how much memory it has had at most, in KiB, or `None` where the system does not say.
    fn peak(&self) -> Option<u64> {
        let child = self.child.lock().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let mut peak = status.lines().filter_map(|it| it.strip_prefix("VmHWM:"));
        peak.next()?.trim().strip_suffix(" kB")?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills a program by SIGKILL, if it still runs.
fn kill(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = child.kill();
    let _ = child.wait();
}

/// When the program is killed.
#[derive(Clone, Copy, Debug)]
enum At {
    Write(usize),
    Request(usize),
}

/// The program behind a gate, which is killed and started again.
struct Programs {
    gate: Gate,
    at: At,
    process: Process,
}

impl Killer for Programs {
    async fn kills(&mut self, world: &World, begin: impl Fn(), done: impl AsyncFn()) -> bool {
        let proxy = world.proxy.as_ref().unwrap();
        let killed = Arc::new(Notify::new());
        match self.at {
            At::Write(writes) => self.gate.close_after(writes),
            At::Request(requests) => {
                let (child, killed) = (Arc::clone(&self.process.child), Arc::clone(&killed));
                let kill = move || {
                    kill(&child);
                    killed.notify_one();
                };
                proxy.disturb_after(requests, Disturbance::Meanwhile(Arc::new(kill)));
            }
        }
        begin();
        let killed = tokio::select! {
            biased;
            () = done() => false,
            () = self.gate.closed(), if matches!(self.at, At::Write(_)) => true,
            () = killed.notified() => true,
        };
        if killed {
            self.process.kill();
            // What it still wanted is wanted by nobody any more.
            self.gate.holds(false).await;
            self.process = Process::start(&self.gate.kubeconfig(), &[]);
        }
        self.gate.reopen();
        proxy.heal();
        done().await;
        killed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_program_is_killed_it_comes_to_the_same_end_when_it_is_started_again() {
    let mut world = World::alone().await;
    world.proxy = Some(FaultProxy::start(world.registry.host()));
    let gate = Gate::open(&world.cluster);
    let process = Process::start(&gate.kubeconfig(), &[]);
    let at = At::Write(0);
    let mut programs = Programs { gate, at, process };
    let writes = WRITES.iter().map(|it| At::Write(*it));
    let requests = REQUESTS.iter().map(|it| At::Request(*it));
    let mut kills = Vec::new();
    for at in writes.chain(requests) {
        programs.at = at;
        let label = format!("killed at {at:?}");
        kills.push(story(&mut world, &mut programs, &label).await);
    }
    let count =
        |phase: usize, kills: &[[usize; 3]]| kills.iter().map(|it| it[phase]).sum::<usize>();
    let (by_writes, by_requests) = kills.split_at(WRITES.len());
    // Not only once all was done. Nobody asks the registry what is to be taken away.
    assert!((0..3).all(|it| count(it, by_writes) > 2), "{kills:?}");
    assert!((0..2).all(|it| count(it, by_requests) > 1), "{kills:?}");
    nothing_is_left(&world).await;
}

/// How many manifests there are, of three MiB each, and how much memory the program may have for
/// whatever number of them, in KiB.
const MANIFESTS: usize = 8;
const MEMORY: u64 = 160 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn large_manifests_take_a_bounded_memory_all_at_once_and_one_after_another() {
    let world = World::alone().await;
    let namespace = &*world.namespace;
    let manifests = |version: usize, of: usize| {
        let value = format!("{version:016}").repeat(16 << 10);
        let maps = (0..12).map(|it| config_map(namespace, &format!("map-{of}-{it}"), &value));
        maps.collect::<String>()
    };
    let mut packing = Packing::start(&world.registry, "1.0.0").await;
    let mut objects = String::new();
    for of in 0..MANIFESTS {
        let name = format!("m{of}");
        let content = manifests(1, of);
        packing = packing
            .blob(&name, "application/yaml", content.as_bytes())
            .await;
        objects += &resource(&name, &name, "");
        objects += &deployer(&format!("{namespace}-{of}"), namespace, &name, "");
    }
    packing.put().await;
    let limit = "--deployer-download-max-resource-size=4Mi";
    let process = Process::start(&world.cluster.kubeconfig(), &[limit]);
    world.apply(&(repository(&world.registry) + &component("1.0.0", "") + &objects));
    let deployers = || Api::<Deployer>::all(world.client.clone());
    for of in 0..MANIFESTS {
        let applied = format!("True Succeeded: Applied {COMPONENT}:1.0.0, resource m{of}");
        let name = format!("{namespace}-{of}");
        wait_in(deployers(), &name, |it| of_deployer(it) == applied).await;
    }
    let at_once = process.peak();
    for version in 2..4 {
        let version_name = format!("{version}.0.0");
        let mut packing = Packing::start(&world.registry, &version_name).await;
        for of in 0..MANIFESTS {
            // One of them changes.
            let content = manifests(if of == 0 { version } else { 1 }, of);
            packing = packing
                .blob(&format!("m{of}"), "application/yaml", content.as_bytes())
                .await;
        }
        packing.put().await;
        world.apply(&component(&version_name, ""));
        let applied = format!("True Succeeded: Applied {COMPONENT}:{version_name}, resource m0");
        wait_in(deployers(), &format!("{namespace}-0"), |it| {
            of_deployer(it) == applied
        })
        .await;
    }
    let all = process.peak();
    println!("{at_once:?} KiB, then {all:?} KiB");
    assert!(
        all.is_none_or(|it| it < MEMORY),
        "{at_once:?} KiB, then {all:?} KiB"
    );
    for of in 0..MANIFESTS {
        let name = format!("{namespace}-{of}");
        world.kubectl(&["delete", "--wait=false", "deployer", &name]);
    }
    for of in 0..MANIFESTS {
        gone_from(deployers(), &format!("{namespace}-{of}")).await;
    }
    world.kubectl(&[
        "delete",
        "--timeout=60s",
        "repositories.delivery.ocm.software,components.delivery.ocm.software,\
         resources.delivery.ocm.software",
        "--all",
    ]);
}
