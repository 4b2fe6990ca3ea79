//! A real Kubernetes API server.

mod helm;
mod identity;
mod process;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::identity::Identities;
use self::process::Process;

pub use self::helm::helm;

/// How long something may take in other processes.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often a cluster is started, each time at other ports.
const TRIES: usize = 5;

/// How long until it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// An API server and its database. Neither outlives the process that has started it, however that
/// ends.
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
    assets: PathBuf,
    ports: Ports,
    /// Removes the directory also where nobody is left to do it.
    _removing: Process,
    etcd: Process,
    api_server: Mutex<Option<Process>>,
    controller_manager: Option<Process>,
    namespaces: AtomicU32,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    etcd: u16,
    peers: u16,
    api_server: u16,
}

impl Cluster {
    /// Returns the cluster that all tests of this process share, each in its namespaces.
    ///
    /// It has no controllers: nothing is collected, and namespaces do not go.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a cluster without controllers.
    pub fn start() -> Self {
        // Somebody else may take a port before it is listened at.
        for _ in 1..TRIES {
            match Self::try_start() {
                Ok(cluster) => return cluster,
                Err(error) if error.contains("address already in use") => {}
                Err(error) => panic!("{error}"),
            }
        }
        Self::try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a cluster, unless one of its servers ends, which is said with the end of its log.
    fn try_start() -> Result<Self, String> {
        let assets = assets();
        let directory = TempDir::new().expect("a temporary directory");
        let removing = Process::removing(directory.path());
        Identities::write(directory.path());
        let ports = Ports::free();
        let etcd = etcd(&assets, directory.path(), ports);
        let cluster = Self {
            directory,
            assets,
            ports,
            _removing: removing,
            etcd,
            api_server: Mutex::new(None),
            controller_manager: None,
            namespaces: AtomicU32::new(0),
        };
        fs::write(cluster.kubeconfig_path(), cluster.kubeconfig()).expect("a kubeconfig");
        cluster.try_start_api_server()?;
        Ok(cluster)
    }

    /// Starts a cluster whose controllers collect garbage and finish the deletion of namespaces.
    pub fn with_controllers() -> Self {
        let mut cluster = Self::start();
        let mut command = Command::new(cluster.assets.join("kube-controller-manager"));
        let kubeconfig = cluster.kubeconfig_path();
        command
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args([
                "--secure-port=0",
                "--leader-elect=false",
                "--controllers=garbage-collector-controller,namespace-controller",
            ]);
        cluster.controller_manager = Some(Process::start(&command, &cluster.log("controllers")));
        cluster
    }

    /// Starts the API server again, at the same address and over the same data.
    pub fn start_api_server(&self) {
        let started = self.try_start_api_server();
        started.unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_start_api_server(&self) -> Result<(), String> {
        let mut command = Command::new(self.assets.join("kube-apiserver"));
        let directory = self.directory.path();
        let file = |name: &str| directory.join(name).display().to_string();
        command.args([
            &format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            &format!("--secure-port={}", self.ports.api_server),
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            &format!("--tls-cert-file={}", file(identity::SERVER)),
            &format!("--tls-private-key-file={}", file(identity::SERVER_KEY)),
            &format!("--token-auth-file={}", file(identity::TOKENS)),
            "--service-account-issuer=https://kubernetes.default.svc",
            &format!(
                "--service-account-key-file={}",
                file(identity::SERVICE_ACCOUNT_PUBLIC)
            ),
            &format!(
                "--service-account-signing-key-file={}",
                file(identity::SERVICE_ACCOUNT_KEY)
            ),
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
            // No pods run here, and each lease would be a write.
            "--endpoint-reconciler-type=none",
        ]);
        let process = Process::start(&command, &self.log("apiserver"));
        eventually("the API server is ready", || {
            let answer = self.kubectl(&["get", "--raw", "/readyz"]);
            if answer.status.success() {
                return Ok(Ok(()));
            }
            for (name, server) in [("etcd", &self.etcd), ("apiserver", &process)] {
                if !server.is_running() {
                    let log = tail(&self.log(name));
                    return Ok(Err(format!("{name} has ended:\n{log}")));
                }
            }
            Err(text(&answer.stderr))
        })?;
        let mut running = self.api_server.lock().expect("nobody has panicked");
        *running = Some(process);
        Ok(())
    }

    /// Kills the API server.
    pub fn stop_api_server(&self) {
        let mut running = self.api_server.lock().expect("nobody has panicked");
        drop(running.take());
    }

    /// Has the database answer nobody until it [goes on](Self::resume_database). Who asks waits, as
    /// with a disk that hangs.
    pub fn pause_database(&self) {
        self.etcd.signal("STOP");
    }

    /// Has the database go on.
    pub fn resume_database(&self) {
        self.etcd.signal("CONT");
    }

    /// Returns the address of the API server.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api_server)
    }

    /// Returns a kubeconfig with which everything is allowed.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_of(identity::ADMINISTRATOR)
    }

    /// Returns a kubeconfig with which nothing is allowed but what roles say of this user: one of
    /// `tenant`, `other` and `controller`.
    pub fn kubeconfig_for(&self, user: &str) -> String {
        let token = identity::USERS.iter().find(|known| known.0 == user);
        self.kubeconfig_of(token.unwrap_or_else(|| panic!("there is no user {user}")).1)
    }

    fn kubeconfig_of(&self, token: &str) -> String {
        let authority = self.directory.path().join(identity::AUTHORITY);
        // JSON is YAML.
        format!(
            r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "test",
"clusters": [{{"name": "test", "cluster": {{"server": "{}", "certificate-authority": "{}"}}}}],
"users": [{{"name": "test", "user": {{"token": "{token}"}}}}],
"contexts": [{{"name": "test", "context": {{"cluster": "test", "user": "test"}}}}]}}"#,
            self.url(),
            authority.display()
        )
    }

    /// Returns where a file with [`kubeconfig`](Self::kubeconfig) is.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Makes a namespace of which nobody else knows; returns its name.
    pub fn namespace(&self) -> String {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{number}");
        let output = self.kubectl(&["create", "namespace", &name]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        name
    }

    /// Runs `kubectl` as one who may do everything.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_command(arguments).output().expect("kubectl")
    }

    /// Runs `kubectl` with a text as its input, as in `kubectl apply -f -`.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut command = self.kubectl_command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl");
        let mut stdin = child.stdin.take().expect("its input");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("kubectl");
        // It may have ended before it had read everything, which its output tells.
        let _ = writer.join().expect("a writer that does not panic");
        output
    }

    fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.assets.join("kubectl"));
        command
            .env_clear()
            .env("HOME", self.directory.path())
            .env("KUBECONFIG", self.kubeconfig_path())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // In this order nobody misses another one, which would fill the logs.
        drop(self.controller_manager.take());
        self.stop_api_server();
        self.etcd.stop();
    }
}

impl Ports {
    /// Ports that were free a moment ago, all different.
    fn free() -> Self {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let listeners = [listen(), listen(), listen()];
        let [etcd, peers, api_server] =
            listeners.map(|it| it.local_addr().expect("an address").port());
        Self {
            etcd,
            peers,
            api_server,
        }
    }
}

fn etcd(assets: &Path, directory: &Path, ports: Ports) -> Process {
    let (clients, peers) = (
        format!("http://127.0.0.1:{}", ports.etcd),
        format!("http://127.0.0.1:{}", ports.peers),
    );
    let mut command = Command::new(assets.join("etcd"));
    command
        .arg(format!("--data-dir={}", directory.join("etcd").display()))
        .args([
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
        ])
        // The data is gone at the end of the test anyway.
        .arg("--unsafe-no-fsync");
    Process::start(&command, &directory.join("etcd.log"))
}

/// The folder with the programs: `KUBEBUILDER_ASSETS`, or what `cargo xtask testbed` has built.
fn assets() -> PathBuf {
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|it| !it.is_empty()) {
        return assets.into();
    }
    let executable = std::env::current_exe().expect("the path of this test");
    let built = executable.ancestors().map(|it| it.join("testbed"));
    let mut built = built.filter(|it| it.join("kube-apiserver").is_file());
    built.next().unwrap_or_else(|| {
        panic!(
            "there is no Kubernetes API server to test with: run `cargo xtask testbed`, which \
             builds one with Go, or have KUBEBUILDER_ASSETS name a folder with etcd, \
             kube-apiserver, kube-controller-manager, kubectl and helm"
        )
    })
}

/// Asks until the answer is `Ok`, for what happens in other processes; returns it.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) if started.elapsed() < PATIENCE => drop(error),
            Err(error) => panic!("{what}: not after {PATIENCE:?}: {error}"),
        }
        sleep(PAUSE);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The end of a log.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_ends_with_its_server_and_passes_signals_on() {
        let directory = TempDir::new().expect("a temporary directory");
        let log = directory.path().join("log");
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            "trap 'echo heard; exit 3' USR1; echo up; while :; do sleep 0.1; done",
        ]);
        let process = Process::start(&command, &log);
        let says = |what: &str| {
            eventually(what, || {
                let said = tail(&log);
                said.contains(what).then_some(()).ok_or(said)
            });
        };
        says("up");
        assert!(process.is_running());
        process.signal("USR1");
        says("heard");
        eventually("the guard has ended", || {
            (!process.is_running())
                .then_some(())
                .ok_or_else(String::new)
        });
    }

    #[test]
    fn a_directory_is_removed_when_nobody_holds_its_guard() {
        let directory = TempDir::new().expect("a temporary directory");
        let removed = directory.path().join("removed");
        fs::create_dir_all(removed.join("within")).expect("a directory");
        let guard = Process::removing(&removed);
        assert!(removed.exists());
        drop(guard);
        assert!(!removed.exists());
    }
}
