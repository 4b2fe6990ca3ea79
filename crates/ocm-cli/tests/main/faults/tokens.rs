//! Registries that ask for tokens, which stop being good in the middle of anything.

use insta::assert_snapshot;
use ocm_testkit::{Disturbance, Step};

use super::resumed::{self, SIZE, UNDER_WAY, check_arrived, digest};
use super::{Direction, FOREVER, PULLED, PUSHED, World, for_good, of_the_line};

/// Returns a world whose registry asks for tokens.
fn guarded(direction: Direction) -> World {
    let mut world = World::new(direction);
    world.proxy.want_tokens();
    world.measure();
    world
}

#[test]
fn a_token_that_expires_is_renewed_at_each_step() {
    for (direction, steps) in [(Direction::Push, &PUSHED[..]), (Direction::Pull, &PULLED)] {
        let mut world = guarded(direction);
        for step in steps {
            world.survives(*step, &Disturbance::Expired);
        }
    }
}

#[test]
fn a_token_service_may_fail_once() {
    for direction in [Direction::Push, Direction::Pull] {
        let mut world = guarded(direction);
        for disturbance in of_the_line() {
            world.survives(Step::Token, &disturbance);
        }
    }
}

#[test]
fn without_a_token_nothing_is_done() {
    let mut world = guarded(Direction::Push);
    let table = world.table(Step::Token, FOREVER, &for_good());
    assert_snapshot!(table, @r#"
    Token: request cut after 0: exit 7
    Token: answer cut after 0: exit 7
    Token: half an answer: exit 7
    Token: status 401 []: exit 5
    Token: status 403 []: exit 5
    Token: status 404 []: exit 5
    Token: status 429 [("retry-after", "0")]: exit 7
    Token: status 503 []: exit 7
    Token: sent around: exit 7
    "#);
}

/// A registry that never takes the tokens that its own service hands out.
#[test]
fn tokens_that_are_never_good_are_not_asked_for_without_end() {
    let mut world = guarded(Direction::Push);
    world.proxy.take_requests();
    for step in PUSHED {
        world.proxy.disturb(step, FOREVER, Disturbance::Expired);
    }
    let command = world.next();
    let run = world.cli.run(&command);
    assert_eq!(run.code, Some(5), "{run}");
    let requests = world.proxy.take_requests();
    assert!(requests.len() < 20, "{requests:#?}");
}

/// The registry refuses a long blob while it is being sent.
#[test]
fn a_token_that_expires_while_a_long_blob_is_sent_is_renewed() {
    let (cli, registry, proxy) = resumed::world();
    proxy.want_tokens();
    proxy.disturb_where(Step::UploadPut, &digest(), 1, Disturbance::Expired);
    cli.ok(&format!("transfer ctf shop http://{}/p", proxy.host()));
    check_arrived(&cli, &format!("http://{}/p", registry.host()));
    assert_eq!(proxy.passed().disturbed, 1);
}

/// The token is good for the first half of a blob, and for nothing that comes then.
#[test]
fn a_token_that_expires_in_the_middle_of_an_upload_does_not_start_it_again() {
    let (cli, registry, proxy) = resumed::world();
    proxy.want_tokens();
    for (number, step) in [Step::UploadGet, Step::UploadPatch].into_iter().enumerate() {
        let before = proxy.passed();
        let cut = Disturbance::CutRequest(SIZE / 2);
        proxy.disturb_where(Step::UploadPut, &digest(), 1, cut);
        proxy.disturb(step, 1, Disturbance::Expired);
        let place = format!("http://{}/p{number}", proxy.host());
        cli.ok(&format!("transfer ctf shop {place}"));
        check_arrived(&cli, &format!("http://{}/p{number}", registry.host()));
        let passed = proxy.passed();
        assert_eq!(passed.disturbed, before.disturbed + 2);
        // A part whose token was refused is sent once more.
        let sent = passed.sent - before.sent;
        assert!(sent <= SIZE + SIZE / 2 + UNDER_WAY, "{step:?}: {sent}");
    }
}

#[test]
fn a_token_that_expires_in_the_middle_of_a_download_does_not_start_it_again() {
    let (cli, _registry, proxy) = resumed::world();
    proxy.want_tokens();
    let place = format!("http://{}/shop", proxy.host());
    cli.ok(&format!("transfer ctf shop {place}"));
    for target in ["far", "far.tar", "far.tgz"] {
        let before = proxy.passed();
        for disturbance in [Disturbance::CutAnswer(SIZE / 3), Disturbance::Expired] {
            proxy.disturb_where(Step::BlobGet, &digest(), 1, disturbance);
        }
        cli.ok(&format!("transfer ctf {place} {target}"));
        check_arrived(&cli, target);
        let passed = proxy.passed();
        assert_eq!(passed.disturbed, before.disturbed + 2, "{target}");
        let received = passed.received - before.received;
        assert!(received <= SIZE + UNDER_WAY, "{target}: {received}");
    }
}
