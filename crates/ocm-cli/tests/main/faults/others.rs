//! What others do meanwhile, and registries that do not keep their word.

use std::process::Command;

use ocm_testkit::{Disturbance, Step};

use super::{Direction, FOREVER, ONE_FAULT, PULLED, PUSHED, World};
use crate::world::{IMPATIENT, empty, proxied};

/// A configuration that tries often, and leaves who is silent for half a second.
const RESTLESS: &str = "type: generic.config.ocm.software/v1
configurations:
- type: http.config.ocm.software
  tcpDialTimeout: 250ms
  responseHeaderTimeout: 250ms
  retry: {maxRetries: 40, minWait: 1ms, maxWait: 5ms}
";

#[test]
fn a_blob_that_the_registry_has_lost_is_sent_again() {
    let mut world = World::new(Direction::Push);
    for step in [Step::SinglePost, Step::UploadPut] {
        world.proxy.disturb(step, 1, Disturbance::Lost);
        let command = world.next();
        let run = world.cli.run(&command);
        assert_eq!(run.code, Some(0), "{run}");
        assert!(run.stderr.contains("the target has lost content"), "{run}");
        assert!(world.arrived() == world.expected);
    }
}

#[test]
fn a_registry_that_loses_everything_is_named() {
    let mut world = World::new(Direction::Push);
    for step in [Step::SinglePost, Step::UploadPut] {
        world.proxy.disturb(step, FOREVER, Disturbance::Lost);
    }
    let command = world.next();
    let run = world.cli.run(&command);
    assert_eq!(run.code, Some(4), "{run}");
    assert!(run.stderr.contains("which is missing"), "{run}");
    world.proxy.heal();
    world.check_undamaged();
    world.cli.ok(&command);
    assert!(world.arrived() == world.expected);
}

#[test]
fn requests_that_come_late_do_no_harm() {
    for (direction, steps) in [(Direction::Push, &PUSHED[..]), (Direction::Pull, &PULLED)] {
        let mut world = World::new(direction);
        world.cli.write(".ocmconfig", RESTLESS);
        // Registries may work for minutes on an upload that they have whole.
        for step in steps.iter().filter(|step| **step != Step::UploadPut) {
            let outcome = world.outcome(*step, 1, &Disturbance::Late);
            assert_eq!(outcome, "completes", "{step:?}");
        }
    }
}

#[test]
fn a_storm_of_refusals_is_waited_out() {
    for (direction, steps) in [(Direction::Push, &PUSHED[..]), (Direction::Pull, &PULLED)] {
        let mut world = World::new(direction);
        world.cli.write(".ocmconfig", RESTLESS);
        let busy = Disturbance::with_header(429, "retry-after", "0");
        for step in steps {
            world.proxy.disturb(*step, 20, busy.clone());
        }
        let command = world.next();
        world.cli.ok(&command);
        assert!(world.arrived() == world.expected);
        let requests = world.proxy.take_requests().len();
        // An upload that is refused is looked for, asked for its offset, dropped, and begun anew.
        let most = world.requests + 20 * (PUSHED.len() + 5) + ONE_FAULT;
        assert!(requests <= most, "{requests}");
    }
}

/// Clocks that jump: of the registry, in every answer, and of the token service, whose tokens are
/// from 1970.
#[test]
fn clocks_may_be_wrong() {
    const DATES: [&str; 2] = [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sun, 07 Feb 2106 06:28:15 GMT",
    ];
    for (direction, steps) in [(Direction::Push, &PUSHED[..]), (Direction::Pull, &PULLED)] {
        for date in DATES {
            let mut world = World::new(direction);
            world.proxy.want_tokens();
            let header = |name: &str| (name.to_owned(), date.to_owned());
            // To come back at a time that it is there already.
            let busy = Disturbance::Answer(503, vec![header("date"), header("retry-after")]);
            for step in steps {
                world.proxy.disturb(*step, 1, busy.clone());
                let other = Disturbance::OtherHeader("date".to_owned(), date.to_owned());
                world.proxy.disturb(*step, FOREVER, other);
            }
            let command = world.next();
            world.cli.ok(&command);
            assert!(world.arrived() == world.expected, "{direction:?} {date}");
        }
    }
}

const APP: &str = "name: acme.org/app\nversion: 1.0.0\nprovider: {name: acme}\nresources:\n\
    - {name: first, type: blob, input: {type: utf8, text: 'first ${TEXT}'}}\n\
    - {name: second, type: blob, input: {type: utf8, text: 'second ${TEXT}'}}\n";

#[test]
fn a_tag_that_moves_while_it_is_read_gives_no_mixture() {
    check_moving("");
}

#[test]
fn a_tag_that_moves_after_it_was_verified_is_not_copied() {
    check_moving("--verify acme.pub");
}

/// Replaces a version while it is read, before each of the requests in turn: what arrives is the
/// one or the other, whole, or nothing.
fn check_moving(flags: &str) {
    let cli = empty();
    cli.write(".ocmconfig", IMPATIENT);
    cli.write("app.yaml", APP);
    let (registry, proxy) = proxied();
    for text in ["one", "two"] {
        cli.ok(&format!("add cv -r {text} app.yaml TEXT={text}"));
    }
    cli.ok("create keypair acme --bits 2048");
    for text in ["one", "two"] {
        cli.ok(&format!("sign cv -K acme {text}//acme.org/app:1.0.0"));
    }
    let (mut arrived, mut refused) = (0, 0);
    for number in 0.. {
        let place = format!("http://{}/p{number}", registry.host());
        cli.ok(&format!("transfer ctf one {place}"));
        let other = cli.path("two").display().to_string();
        let home = cli.path(".");
        proxy.take_requests();
        let moved = Disturbance::meanwhile(move || {
            let moved = Command::new(env!("CARGO_BIN_EXE_ocm"))
                .args(["transfer", "ctf", &other, &place, "--overwrite", "--quiet"])
                .env_clear()
                .env("HOME", &home)
                .output();
            assert!(moved.unwrap().status.success());
        });
        proxy.disturb_after(number, moved);
        let source = format!("http://{}/p{number}//acme.org/app:1.0.0", proxy.host());
        let target = format!("far{number}");
        let run = cli.run(&format!("transfer cv {flags} {source} {target}"));
        proxy.heal();
        if proxy.take_requests().len() <= number {
            break;
        }
        if run.code == Some(0) {
            arrived += 1;
            let text = |name: &str| {
                let file = format!("{name}{number}");
                cli.ok(&format!(
                    "download resource {target}//acme.org/app:1.0.0 {name} -O {file}"
                ));
                String::from_utf8(cli.read(file)).unwrap()
            };
            let (first, second) = (text("first"), text("second"));
            assert_eq!(first.strip_prefix("first "), second.strip_prefix("second "));
        } else {
            refused += 1;
            assert_eq!(run.code, Some(6), "{run}");
            assert!(
                run.stderr.contains("acme.org/app:1.0.0 in http://"),
                "{run}"
            );
            assert!(run.stderr.contains("hint: run the command again"), "{run}");
            cli.ok(&format!("transfer cv {flags} {source} {target}"));
        }
    }
    assert!(arrived > 2 && refused > 0, "{arrived} and {refused}");
}
