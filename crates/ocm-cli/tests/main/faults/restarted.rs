//! Registries that are killed and started again while a transfer is under way.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use ocm_testkit::{Cli, Disturbance, FaultProxy, Step};

use super::Direction;
use super::resumed::{self, SIZE, UNDER_WAY, check_arrived, digest};
use crate::world::{check_product, signed};

/// A configuration that tries as long as a registry may take to start.
const PATIENT: &str = "type: generic.config.ocm.software/v1
configurations:
- type: http.config.ocm.software
  retry: {maxRetries: 400, minWait: 1ms, maxWait: 50ms}
";

/// A registry over the directory `served`.
struct Server {
    directory: PathBuf,
    address: String,
    child: Child,
    /// What it says after its first line has somewhere to go.
    _errors: BufReader<ChildStderr>,
}

impl Server {
    fn start(directory: &Path, listen: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ocm"))
            .args(["serve", "served", "--listen", listen])
            .current_dir(directory)
            .env_clear()
            .env("HOME", directory)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let (_, address) = line.split_once("listening on http://").expect(&line);
        Self {
            directory: directory.to_owned(),
            address: address.trim().to_owned(),
            child,
            _errors: errors,
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A registry that can be killed, behind a proxy that stays.
struct Restarted {
    server: Arc<Mutex<Server>>,
    address: String,
    proxy: FaultProxy,
}

impl Restarted {
    fn new(cli: &Cli) -> Self {
        cli.write(".ocmconfig", PATIENT);
        let server = Server::start(&cli.path("."), "127.0.0.1:0");
        let address = server.address.clone();
        Self {
            proxy: FaultProxy::start(&address),
            server: Arc::new(Mutex::new(server)),
            address,
        }
    }

    /// Kills the registry before a request goes on, and starts another in its place.
    fn restart(&self) -> Disturbance {
        let server = Arc::clone(&self.server);
        Disturbance::meanwhile(move || {
            let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
            server.kill();
            let (directory, address) = (server.directory.clone(), server.address.clone());
            *server = Server::start(&directory, &address);
        })
    }
}

/// Kills the registry at every third request of a transfer in turn. The same run completes.
fn check_restarted(direction: Direction) {
    let cli = signed();
    let restarted = Restarted::new(&cli);
    let Restarted { proxy, address, .. } = &restarted;
    cli.ok(&format!("transfer ctf shop http://{address}/shop"));
    for number in (0..).step_by(3) {
        let (from, to, arrived) = match direction {
            Direction::Push => (
                "shop".to_owned(),
                format!("http://{}/p{number}", proxy.host()),
                format!("http://{address}/p{number}"),
            ),
            Direction::Pull => (
                format!("http://{}/shop", proxy.host()),
                format!("far{number}"),
                format!("far{number}"),
            ),
        };
        let before = proxy.passed().disturbed;
        proxy.disturb_after(number, restarted.restart());
        cli.ok(&format!("transfer ctf {from} {to}"));
        proxy.heal();
        if proxy.passed().disturbed == before {
            assert!(number > 9, "{number}");
            return;
        }
        check_product(&cli, &arrived);
    }
}

#[test]
fn a_push_goes_on_when_its_registry_is_back() {
    check_restarted(Direction::Push);
}

#[test]
fn a_pull_goes_on_when_its_registry_is_back() {
    check_restarted(Direction::Pull);
}

/// The registry has the first half of a blob when it is killed, and knows that afterwards.
#[test]
fn an_upload_goes_on_when_its_registry_is_back() {
    let (cli, _, _) = resumed::world();
    let restarted = Restarted::new(&cli);
    let Restarted { proxy, address, .. } = &restarted;
    let cut = Disturbance::CutRequest(SIZE / 2);
    proxy.disturb_where(Step::UploadPut, &digest(), 1, cut);
    proxy.disturb(Step::UploadGet, 1, restarted.restart());
    cli.ok(&format!("transfer ctf shop http://{}/shop", proxy.host()));
    assert_eq!(proxy.passed().disturbed, 2);
    check_arrived(&cli, &format!("http://{address}/shop"));
    let sent = proxy.passed().sent;
    assert!(sent < SIZE + UNDER_WAY, "{sent}");
}
