//! Large blobs that are cut: only what was not acknowledged moves again.

use ocm::digest::Digest;
use ocm_testkit::{Cli, Disturbance, FaultProxy, Registry, Step};

use super::of_the_line;
use crate::world::{IMPATIENT, LARGE, empty, noise, proxied};

const MIB: u64 = 1024 * 1024;

/// The size of the blob, in bytes.
pub(super) const SIZE: u64 = 6 * MIB;

/// What may be under way on a line, in bytes: what two systems and two programs hold.
pub(super) const UNDER_WAY: u64 = 3 * MIB;

fn content() -> Vec<u8> {
    noise(usize::try_from(SIZE).unwrap(), 1)
}

/// Returns the digest of the blob, without its algorithm.
pub(super) fn digest() -> String {
    Digest::sha256(content()).to_hex()
}

pub(super) fn world() -> (Cli, Registry, FaultProxy) {
    let cli = empty();
    cli.write(".ocmconfig", IMPATIENT);
    cli.write("large.bin", content());
    cli.write("large.yaml", LARGE);
    cli.ok("add cv -r shop large.yaml");
    let (registry, proxy) = proxied();
    (cli, registry, proxy)
}

#[track_caller]
pub(super) fn check_arrived(cli: &Cli, place: &str) {
    cli.ok(&format!(
        "download resource {place}//acme.org/large:1.0.0 data -O data"
    ));
    assert!(cli.read("data") == content(), "{place}");
}

/// Cuts an upload in the middle, and disturbs what the client does then.
#[test]
fn an_upload_goes_on_where_it_was_cut() {
    let (cli, registry, proxy) = world();
    let mut number = 0;
    for step in [Step::UploadGet, Step::UploadPatch] {
        for disturbance in of_the_line() {
            if matches!(disturbance, Disturbance::AnsweredTwice) {
                continue;
            }
            number += 1;
            let before = proxy.passed().sent;
            proxy.take_requests();
            proxy.disturb(Step::UploadPut, 1, Disturbance::CutRequest(SIZE / 2));
            proxy.disturb(step, 1, disturbance.clone());
            cli.ok(&format!(
                "transfer ctf shop http://{}/p{number}",
                proxy.host()
            ));
            proxy.heal();
            let requests = proxy.take_requests();
            let patched = requests.iter().any(|it| it.starts_with("PATCH "));
            assert!(patched, "{step:?} {disturbance:?}: {requests:#?}");
            assert!(
                requests.len() < 25,
                "{step:?} {disturbance:?}: {requests:#?}"
            );
            check_arrived(&cli, &format!("http://{}/p{number}", registry.host()));
            let sent = proxy.passed().sent - before;
            // A part that is sent whole, and not answered well, is sent again.
            let most = SIZE + UNDER_WAY + SIZE / 2;
            assert!(sent <= most, "{step:?} {disturbance:?}: {sent}");
        }
    }
}

/// An answer that comes twice may be taken for the answer to the next request: HTTP/1.1 cannot tell
/// them apart. What it cannot do is to damage something.
#[test]
fn an_answer_that_comes_twice_in_an_upload_does_no_harm() {
    let (cli, registry, proxy) = world();
    for (number, step) in [Step::UploadGet, Step::UploadPatch].into_iter().enumerate() {
        proxy.disturb(Step::UploadPut, 1, Disturbance::CutRequest(SIZE / 2));
        proxy.disturb(step, 1, Disturbance::AnsweredTwice);
        let command = format!("transfer ctf shop http://{}/p{number}", proxy.host());
        let run = cli.run(&command);
        assert!(matches!(run.code, Some(0 | 1 | 4 | 7)), "{run}");
        proxy.heal();
        cli.ok(&command);
        check_arrived(&cli, &format!("http://{}/p{number}", registry.host()));
    }
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let (cli, _registry, proxy) = world();
    let place = format!("http://{}/shop", proxy.host());
    cli.ok(&format!("transfer ctf shop {place}"));
    for target in ["far", "far.tar", "far.tgz"] {
        for disturbance in [
            Disturbance::CutAnswer(SIZE / 3),
            Disturbance::HalfAnswer,
            Disturbance::CutAnswer(SIZE),
        ] {
            let before = proxy.passed().received;
            proxy.disturb(Step::BlobGet, 1, disturbance.clone());
            let target = format!("{}-{target}", proxy.passed().requests);
            cli.ok(&format!("transfer ctf {place} {target}"));
            proxy.heal();
            check_arrived(&cli, &target);
            let received = proxy.passed().received - before;
            assert!(received <= SIZE + UNDER_WAY, "{disturbance:?}: {received}");
        }
    }
}

/// A disk that becomes full in the middle of a blob, where not even the archive can be completed
/// as far as it goes.
#[test]
fn what_came_before_the_disk_was_full_is_not_moved_again() {
    const KIB: u64 = 1024;
    let (cli, _registry, proxy) = world();
    let place = format!("http://{}/shop", proxy.host());
    cli.ok(&format!("transfer ctf shop {place}"));
    cli.ok(&format!("transfer ctf {place} whole.tar"));
    // Before the blob stands what is kept for the index.
    for (target, index) in [("far.tar", MIB), ("far", 0)] {
        let command = format!("transfer ctf {place} {target}");
        let space = index + SIZE / 2;
        let run = cli.run_short_of_space(space / KIB, &command);
        assert_eq!(run.code, Some(1), "{run}");
        let before = proxy.passed().received;
        cli.ok(&command);
        let received = proxy.passed().received - before;
        assert!(received <= SIZE / 2 + 512 * KIB, "{target}: {received}");
        check_arrived(&cli, target);
    }
    assert!(cli.read("far.tar") == cli.read("whole.tar"));
}
