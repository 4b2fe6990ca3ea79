//! Registries that ask for tokens, which stop being good in the middle of anything.

use insta::assert_snapshot;
use ocm_testkit::{Disturbance, Step};

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
