//! Transfers that are killed anywhere, and run again: nothing moves twice that need not, and the
//! target is what it would have been.

use std::time::{Duration, Instant};

use ocm_testkit::{Cli, Disturbance, FaultProxy, Passed, Registry, Step};

use crate::world::{IMPATIENT, content, empty, names, noise, proxied};

const KIB: usize = 1024;

/// The files of the product, with their sizes in bytes: small ones, and some that have a place of
/// their own in an archive.
const FILES: [(&str, usize); 6] = [
    ("one-a", 3000 * KIB),
    ("one-b", 700 * KIB),
    ("one-c", 100),
    ("two-a", 5000 * KIB),
    ("three-a", 2000 * KIB),
    ("three-b", 300 * KIB),
];

/// How much more than what is missing may move: manifests, descriptors, small blobs.
const BESIDES: u64 = 512 * 1024;

const COMPONENTS: [&str; 3] = ["one", "two", "three"];

/// How long something is waited for before the test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// Numbers that look random and are the same in each run.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    }
}

/// Packs the product into the directory `shop`, and brings it to a registry behind a proxy.
fn world() -> (Cli, Registry, FaultProxy) {
    let cli = empty();
    cli.write(".ocmconfig", IMPATIENT);
    let components = COMPONENTS.map(|component| {
        let files = FILES.iter().filter(|(name, _)| name.starts_with(component));
        let resources = files.map(|(name, size)| {
            cli.write(format!("src/{name}"), noise(*size, *size as u64));
            format!("  - {{name: {name}, type: blob, input: {{type: file, path: {name}}}}}\n")
        });
        let resources: Vec<String> = resources.collect();
        format!(
            "- name: acme.org/{component}\n  version: 1.0.0\n  provider: {{name: acme}}\n  \
             resources:\n{}",
            resources.concat()
        )
    });
    let constructor = format!("components:\n{}", components.concat());
    cli.write("src/all.yaml", constructor);
    cli.ok("add cv -r shop src/all.yaml");
    let (registry, proxy) = proxied();
    cli.ok(&format!(
        "transfer ctf shop http://{}/shop",
        registry.host()
    ));
    (cli, registry, proxy)
}

#[track_caller]
fn check_whole(cli: &Cli, place: &str) {
    for (name, size) in FILES {
        let component = name.split('-').next().unwrap();
        cli.ok(&format!(
            "download resource {place}//acme.org/{component}:1.0.0 {name} -O data"
        ));
        assert!(
            cli.read("data") == noise(size, size as u64),
            "{name} of {place}"
        );
    }
    std::fs::remove_file(cli.path("data")).unwrap();
}

#[test]
fn an_archive_does_not_tell_where_it_came_from() {
    let (cli, registry, _proxy) = world();
    for ending in ["tar", "tgz"] {
        let first = format!("first.{ending}");
        cli.ok(&format!("transfer ctf shop {first}"));
        let expected = content(&cli, &first);
        let far = format!("http://{}/shop", registry.host());
        for (number, source) in ["shop", &first, &far, &far].into_iter().enumerate() {
            let target = format!("{number}.{ending}");
            cli.ok(&format!("transfer ctf {source} {target}"));
            assert!(content(&cli, &target) == expected, "{source} {ending}");
        }
    }
}

#[test]
fn packing_twice_gives_the_same_archive() {
    let (cli, _registry, _proxy) = world();
    for ending in ["tar", "tgz"] {
        for number in 0..3 {
            cli.ok(&format!("add cv -r {number}.{ending} src/all.yaml"));
            let same = content(&cli, &format!("{number}.{ending}"))
                == content(&cli, &format!("0.{ending}"));
            assert!(same, "{ending}");
        }
    }
}

/// Kills a command once so many bytes have passed, which the seed says. One blob stops half-way, so
/// that the command cannot end before: the same one each time that it is killed.
fn kill(cli: &Cli, proxy: &FaultProxy, command: &str, (seed, number): (u64, u64)) {
    let mut dice = dice(seed);
    let large = FILES.iter().filter(|(_, size)| *size > KIB);
    let (_, size) = *large.clone().nth(dice(large.count())).unwrap();
    let digest = ocm::digest::Digest::sha256(noise(size, size as u64)).to_string();
    let all: usize = FILES.iter().map(|(_, size)| size).sum();
    // Into a compressed archive blobs move one after the other, and the second time some are there.
    let (at, wanted) = match number {
        0 if command.ends_with("tgz") => (dice(size / 2), 0),
        0 => (dice(size / 2), dice(all - size)),
        _ => (dice(size / 8), 0),
    };
    let stall = Disturbance::Stall(at as u64);
    proxy.disturb_where(Step::BlobGet, &digest, usize::MAX, stall);
    let before = proxy.passed();
    let started = cli.start(command);
    let has_passed = |now: Passed| {
        now.received - before.received >= wanted as u64 && now.disturbed > before.disturbed
    };
    let deadline = Instant::now() + PATIENCE;
    while !has_passed(proxy.passed()) {
        assert!(Instant::now() < deadline, "{command}: {:?}", proxy.passed());
        std::thread::sleep(Duration::from_millis(1));
    }
    let run = started.signal("KILL");
    assert_eq!(run.code, None, "{run}");
    proxy.heal();
}

/// Returns how much content a killed transfer has left on disk. Content has no zeros.
fn left(cli: &Cli, target: &str) -> u64 {
    let mut files = vec![
        cli.path(format!(".{target}.partial")),
        cli.path(format!(".{target}.loose")),
    ];
    let blobs = std::fs::read_dir(cli.path(target).join("blobs"));
    files.extend(
        blobs
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path()),
    );
    let contents = files.iter().filter_map(|file| std::fs::read(file).ok());
    let pages = contents.map(|content| {
        let pages = content.chunks(4096);
        pages
            .filter(|page| page.iter().any(|byte| *byte != 0))
            .count() as u64
    });
    pages.sum::<u64>() * 4096
}

/// Checks that a report says how much content has moved in a run, by what has passed the proxy.
#[track_caller]
fn check_report(report: &str, passed: u64) {
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    let moved = report[0]["blobs"]["moved"].as_u64().unwrap();
    assert!(
        (moved..moved + BESIDES).contains(&passed),
        "{passed}: {report:#}"
    );
}

#[track_caller]
fn check_downloads(target: &str) {
    let (cli, _registry, proxy) = world();
    let command = |target: &str| format!("transfer ctf http://{}/shop {target}", proxy.host());
    let undisturbed = format!("whole{target}");
    let before = proxy.passed().received;
    cli.ok(&command(&undisturbed));
    let needed = proxy.passed().received - before;
    let there = names(&cli);
    for seed in 1..=6 {
        let target = format!("{seed}{target}");
        let kills = 1 + seed % 3;
        for number in 0..kills {
            kill(&cli, &proxy, &command(&target), (seed, number));
        }
        let left = left(&cli, &target);
        let before = proxy.passed().received;
        let report = cli.ok(&format!("{} -o json", command(&target)));
        let received = proxy.passed().received - before;
        check_report(&report, received);
        let most = needed.saturating_sub(left) + BESIDES;
        // A compressed stream cannot be taken up in the middle of a blob.
        let is_compressed = target.ends_with("tgz");
        assert!(
            is_compressed || received <= most,
            "{seed}: {received} {needed} {left}"
        );
        if target.contains('.') {
            assert!(
                content(&cli, &target) == content(&cli, &undisturbed),
                "{seed}"
            );
        } else {
            check_whole(&cli, &target);
            let files = |place: &str| {
                let entries = std::fs::read_dir(cli.path(place).join("blobs")).unwrap();
                let mut files: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
                files.sort();
                files
            };
            assert_eq!(files(&target), files(&undisturbed));
        }
        let mut expected = there.clone();
        expected.extend((1..=seed).map(|seed| format!("{seed}{}", &target[1..])));
        expected.sort();
        let mut found = names(&cli);
        found.sort();
        assert_eq!(found, expected);
    }
    check_whole(&cli, &format!("6{target}"));
}

#[test]
fn a_download_into_a_tar_is_killed_anywhere() {
    check_downloads(".tar");
}

#[test]
fn a_download_into_a_compressed_tar_is_killed_anywhere() {
    check_downloads(".tgz");
}

#[test]
fn a_download_into_a_directory_is_killed_anywhere() {
    check_downloads("-far");
}

/// A run that fails, or that is interrupted, keeps what it has for the next one.
#[test]
fn a_transfer_that_fails_is_continued_to_the_same_archive() {
    let (cli, _registry, proxy) = world();
    let command = |target: &str| format!("transfer ctf http://{}/shop {target}", proxy.host());
    for ending in ["tar", "tgz"] {
        let (whole, target) = (format!("whole.{ending}"), format!("far.{ending}"));
        cli.ok(&command(&whole));
        for (number, (_, size)) in FILES.iter().enumerate() {
            let digest = ocm::digest::Digest::sha256(noise(*size, *size as u64)).to_string();
            proxy.disturb_where(
                Step::BlobGet,
                &digest,
                usize::MAX,
                Disturbance::CutAnswer(90_000),
            );
            let run = cli.run(&command(&target));
            assert!(matches!(run.code, Some(0 | 7)), "{number} {run}");
            proxy.heal();
        }
        cli.ok(&command(&target));
        assert!(content(&cli, &target) == content(&cli, &whole), "{ending}");
        check_whole(&cli, &target);
    }
}

/// Cuts the upload of the largest blob of a transfer, and kills the transfer when it asks how much
/// has arrived, and all other component versions are there: of a small blob that is under way,
/// nothing is remembered.
fn kill_upload(cli: &Cli, proxy: &FaultProxy, command: &str, at: usize) {
    let (_, size) = FILES[3];
    let digest = ocm::digest::Digest::sha256(noise(size, size as u64)).to_hex();
    let cut = Disturbance::CutRequest(at as u64);
    proxy.disturb_where(Step::UploadPut, &digest, 1, cut);
    proxy.disturb(Step::UploadGet, usize::MAX, Disturbance::Stall(0));
    let started = cli.start(command);
    let deadline = Instant::now() + PATIENCE;
    let awaited = [
        ("GET ", "/uploads/"),
        ("PUT ", "/acme.org/one/manifests/"),
        ("PUT ", "/acme.org/three/manifests/"),
    ];
    let mut requests = Vec::new();
    let is_there = |requests: &[String], (method, target): &(&str, &str)| {
        let mut requests = requests.iter();
        requests.any(|request| request.starts_with(method) && request.contains(target))
    };
    while !awaited.iter().all(|it| is_there(&requests, it)) {
        assert!(Instant::now() < deadline, "{requests:#?}");
        std::thread::sleep(Duration::from_millis(1));
        requests.append(&mut proxy.take_requests());
    }
    let run = started.signal("KILL");
    assert_eq!(run.code, None, "{run}");
    proxy.heal();
}

#[test]
fn an_upload_that_was_killed_is_continued_by_the_next_process() {
    let (cli, registry, proxy) = world();
    let all: usize = FILES.iter().map(|(_, size)| size).sum();
    for seed in 1..=4 {
        let command = format!("transfer ctf shop http://{}/p{seed}", proxy.host());
        let before = proxy.passed().sent;
        kill_upload(&cli, &proxy, &command, 2000 * KIB + dice(seed)(2000 * KIB));
        let by_then = proxy.passed().sent;
        let report = cli.ok(&format!("{command} -o json"));
        check_report(&report, proxy.passed().sent - by_then);
        let requests = proxy.take_requests();
        let patched = requests.iter().any(|request| request.starts_with("PATCH "));
        assert!(patched, "{requests:#?}");
        let sent = usize::try_from(proxy.passed().sent - before).unwrap();
        assert!(sent <= all + 1024 * KIB, "{seed}: {sent} {all}");
        check_whole(&cli, &format!("http://{}/p{seed}", registry.host()));
        let left = std::fs::read_dir(cli.path(".local/state/ocm/uploads")).unwrap();
        assert_eq!(left.count(), 0);
    }
}

/// The registry has forgotten the upload, or says something that is not so.
#[test]
fn what_is_remembered_of_an_upload_is_only_a_hint() {
    let (cli, registry, proxy) = world();
    let answers = [
        Disturbance::status(404),
        Disturbance::status(500),
        Disturbance::with_header(204, "Range", "0-1999"),
        Disturbance::with_header(204, "Range", "0-1999999"),
        Disturbance::with_header(204, "Range", "0-99999999"),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let command = format!("transfer ctf shop http://{}/p{number}", proxy.host());
        kill_upload(&cli, &proxy, &command, 1000 * KIB);
        proxy.disturb(Step::UploadGet, 1, answer);
        cli.ok(&command);
        proxy.heal();
        check_whole(&cli, &format!("http://{}/p{number}", registry.host()));
    }
}

/// The token was good for the question how much has arrived, and is not any more.
#[test]
fn a_token_that_expires_does_not_end_the_upload_of_another_process() {
    let (cli, registry, proxy) = world();
    proxy.want_tokens();
    let command = format!("transfer ctf shop http://{}/p", proxy.host());
    kill_upload(&cli, &proxy, &command, 2000 * KIB);
    proxy.take_requests();
    proxy.disturb(Step::UploadPatch, 1, Disturbance::Expired);
    cli.ok(&command);
    proxy.heal();
    let requests = proxy.take_requests();
    // Uploads that were begun beside it may lose their token at the same time, and begin again.
    let upload = requests.iter().find_map(|it| it.strip_prefix("PATCH "));
    let upload = upload.expect("it goes on").to_owned();
    let number = |method: &str| {
        let requests = requests.iter();
        let of_upload = requests.filter(|it| it.contains(&upload));
        of_upload.filter(|it| it.starts_with(method)).count()
    };
    assert_eq!(
        (number("PATCH "), number("DELETE ")),
        (2, 0),
        "{requests:#?}"
    );
    check_whole(&cli, &format!("http://{}/p", registry.host()));
}
