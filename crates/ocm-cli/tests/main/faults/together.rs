//! Transfers to the same target at the same time, one of them held at each of its requests in turn.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use ocm_testkit::{Cli, Disturbance};

use super::{Direction, World};
use crate::world::{SMALL, check_product, content};

/// How many requests fewer a transfer may take than the one before: what several look up goes together
/// if they ask at the same time.
const TOGETHER: usize = 3;

/// A transfer that is run while another one is held.
struct Other {
    directory: PathBuf,
    arguments: Vec<String>,
}

impl Other {
    fn new(cli: &Cli, command: &str) -> Self {
        Self {
            directory: cli.path("."),
            arguments: command.split_whitespace().map(str::to_owned).collect(),
        }
    }

    fn start(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_ocm"))
            .args(&self.arguments)
            .current_dir(&self.directory)
            .env_clear()
            .env("HOME", &self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn run(&self) {
        let status = self.start().wait().unwrap();
        assert!(status.success(), "{:?}: {status}", self.arguments);
    }
}

/// Has somebody else do the whole transfer before each of the requests of one. Both succeed, and the
/// target is what it would have been.
fn check_overtaken(direction: Direction) {
    let mut world = World::new(direction);
    let requests = world.requests;
    assert!(requests > 10, "{requests}");
    for number in 0.. {
        let command = world.next();
        let other = Other::new(
            &world.cli,
            &format!("transfer ctf shop {} --quiet", world.place()),
        );
        let met = world.proxy.passed().disturbed;
        let overtaken = Disturbance::meanwhile(move || other.run());
        world.proxy.disturb_after(number, overtaken);
        world.cli.ok(&command);
        world.proxy.heal();
        assert!(world.arrived() == world.expected, "{number}");
        // What somebody else has brought needs fewer requests, but not before that.
        if world.proxy.passed().disturbed == met {
            assert!(number + TOGETHER >= requests, "{number}");
            return;
        }
    }
}

#[test]
fn a_transfer_to_a_registry_may_be_overtaken_anywhere() {
    check_overtaken(Direction::Push);
}

#[test]
fn a_transfer_into_a_directory_may_be_overtaken_anywhere() {
    check_overtaken(Direction::Pull);
}

/// Archives in one file have one writer at a time: whoever comes second waits, and finds what the
/// first has written.
#[test]
fn writers_of_an_archive_in_one_file_wait_for_each_other() {
    let world = World::new(Direction::Pull);
    let cli = &world.cli;
    cli.write("small.yaml", SMALL);
    for ending in ["tar", "tgz"] {
        for number in (0..world.requests - TOGETHER).step_by(3) {
            for second in ["transfer ctf shop", "add cv small.yaml -r"] {
                let target = format!("far{number}-{}.{ending}", &second[..3]);
                let other = Other::new(cli, &format!("{second} {target} --quiet"));
                let waiting = Arc::new(Mutex::new(None));
                let started = Arc::clone(&waiting);
                let met = world.proxy.passed().disturbed;
                let begun = Disturbance::meanwhile(move || {
                    *started.lock().unwrap() = Some(other.start());
                });
                world.proxy.disturb_after(number, begun);
                let source = format!("http://{}/shop", world.proxy.host());
                cli.ok(&format!("transfer ctf {source} {target}"));
                world.proxy.heal();
                assert_eq!(world.proxy.passed().disturbed, met + 1, "{target}");
                let child: Option<Child> = waiting.lock().unwrap().take();
                let status = child.unwrap().wait().unwrap();
                assert!(status.success(), "{target}: {status}");
                check_product(cli, &target);
                let small = cli.run(&format!("check {target}//acme.org/small:1.0.0"));
                let expected = if second.starts_with("add") { 0 } else { 3 };
                assert_eq!(small.code, Some(expected), "{small}");
                if second.starts_with("transfer") {
                    let whole = format!("whole.{ending}");
                    cli.ok(&format!("transfer ctf shop {whole}"));
                    assert!(content(cli, &target) == content(cli, &whole), "{target}");
                }
            }
        }
    }
}
