//! Lines that are long or narrow, and how many requests are under way on them.

use std::fmt::Write as _;
use std::time::Duration;

use ocm_testkit::{Disturbance, FaultProxy, Line, Registry, Step};

use super::resumed::{SIZE, UNDER_WAY, check_arrived, digest, world};
use crate::world::{LEAF_DATA, check_product, empty, registry, signed};

/// A configuration that leaves who is silent for a short time.
const HASTY: &str = "type: generic.config.ocm.software/v1
configurations:
- type: http.config.ocm.software
  responseHeaderTimeout: 800ms
  retry: {maxRetries: 3, minWait: 1ms, maxWait: 5ms}
";

#[test]
fn a_slow_line_is_waited_for() {
    let (cli, registry, _) = world();
    // A machine that is busy may be silent for longer than the other tests wait.
    cli.write(".ocmconfig", HASTY.replace("800ms", "2s"));
    let line = Line {
        // Four times the time that a silence may take.
        bytes_per_second: Some(SIZE / 8),
        ..Line::default()
    };
    let proxy = FaultProxy::on(registry.host(), line);
    let place = format!("http://{}/shop", proxy.host());
    cli.ok(&format!("transfer ctf shop {place}"));
    cli.ok(&format!("transfer ctf {place} far"));
    check_arrived(&cli, "far");
    let requests = proxy.take_requests();
    let large = requests.iter().filter(|it| it.starts_with("PATCH "));
    assert_eq!(large.count(), 0, "{requests:#?}");
    let reads = requests
        .iter()
        .filter(|it| it.contains("GET") && it.contains("/blobs/"));
    // The descriptor twice, as it is planned and carried out, its configuration, and the blob.
    assert!(reads.count() <= 6, "{requests:#?}");
}

#[test]
fn a_line_that_falls_silent_is_left() {
    let (cli, registry, proxy) = world();
    cli.write(".ocmconfig", HASTY);
    cli.ok(&format!(
        "transfer ctf shop http://{}/shop",
        registry.host()
    ));
    let place = format!("http://{}/shop", proxy.host());
    let before = proxy.passed().received;
    proxy.disturb(Step::BlobGet, 1, Disturbance::Stall(100));
    proxy.disturb(Step::ManifestGet, 1, Disturbance::Stall(50));
    proxy.disturb(Step::BlobGet, 1, Disturbance::Stall(SIZE / 2));
    cli.ok(&format!("transfer ctf {place} far"));
    check_arrived(&cli, "far");
    let received = proxy.passed().received - before;
    assert!(received < 2 * SIZE, "{received}");
}

/// What is left of a blob may be more than what the system takes of it, or less, so that all of it
/// seems to be on its way.
#[test]
fn a_line_that_takes_nothing_any_more_is_left() {
    let (cli, registry, _) = world();
    cli.write(".ocmconfig", HASTY);
    let line = Line {
        receive_buffer: Some(64 * 1024),
        ..Line::default()
    };
    let proxy = FaultProxy::on(registry.host(), line);
    for (number, taken) in [0, SIZE / 4 * 3].into_iter().enumerate() {
        let before = proxy.passed();
        let stall = Disturbance::StallRequest(taken);
        proxy.disturb_where(Step::UploadPut, &digest(), 1, stall);
        cli.ok(&format!(
            "transfer ctf shop http://{}/p{number}",
            proxy.host()
        ));
        proxy.heal();
        assert_eq!(proxy.passed().disturbed, before.disturbed + 1, "{taken}");
        check_arrived(&cli, &format!("http://{}/p{number}", registry.host()));
        let sent = proxy.passed().sent - before.sent;
        assert!(sent < SIZE + UNDER_WAY, "{taken}: {sent}");
    }
}

/// Packs component versions that have nothing in common.
fn many(versions: usize, blobs: usize, size: usize) -> ocm_testkit::Cli {
    let cli = empty();
    let rest = "x".repeat(size);
    let mut constructor = "components:\n".to_owned();
    for version in 0..versions {
        let _ = write!(
            constructor,
            "- name: acme.org/c{version}\n  version: 1.0.0\n  provider: {{name: acme}}\n  resources:\n"
        );
        for blob in 0..blobs {
            let _ = writeln!(
                constructor,
                "  - {{name: r{blob}, type: blob, input: {{type: utf8, text: '{version}/{blob}/{rest}'}}}}"
            );
        }
    }
    cli.write("many.yaml", constructor);
    cli.ok("add cv -r shop many.yaml");
    cli
}

#[test]
fn one_limit_holds_for_all_blobs_and_one_for_each_host() {
    let registry = Registry::start();
    let line = Line {
        latency: Duration::from_millis(20),
        ..Line::default()
    };
    let put = |versions, limit, most| (70_000, Step::UploadPut, versions, limit, most);
    for (size, step, versions, limit, most) in [
        put(1, 2, 2),
        put(1, 64, 16),
        put(4, 1, 1),
        put(4, 64, 16),
        // What is small goes in one request.
        (1, Step::SinglePost, 1, 64, 16),
        (1, Step::SinglePost, 4, 64, 16),
    ] {
        let flags = format!("--concurrency-limit {limit}");
        let cli = many(versions, 16, size);
        let proxy = FaultProxy::on(registry.host(), line);
        let place = format!("http://{}/p{size}-{versions}-{limit}", proxy.host());
        // As many as may be are under way, which takes no luck; and never more.
        proxy.hold_until(step, most);
        cli.ok(&format!("transfer ctf {flags} shop {place}"));
        assert_eq!(proxy.most_at_once(step), most, "{size}: {flags}");
        cli.ok(&format!("transfer ctf {flags} {place} far"));
        let reads = proxy.most_at_once(Step::BlobGet);
        assert!(reads <= 16, "{size}: {flags}: {reads}");
        assert_eq!(cli.ok("list far"), cli.ok("list shop"), "{flags}");
    }
}

#[test]
fn blobs_are_mounted_within_a_registry() {
    let mut cli = signed();
    let (registry, place) = registry(&mut cli);
    cli.ok(&format!("transfer ctf shop {place}"));
    registry.take_requests();
    let other = format!("http://{}/other", registry.host());
    let report = cli.ok(&format!("transfer ctf {place} {other} -o json"));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let blobs = &report[0]["blobs"];
    assert_eq!(
        (&blobs["mounted"], &blobs["copied"]),
        (&5.into(), &0.into())
    );
    let requests = registry.take_requests();
    let leaf = format!("/blobs/sha256:{LEAF_DATA}");
    let read = |request: &String| request.starts_with("GET") && request.ends_with(&leaf);
    assert!(!requests.iter().any(read), "{requests:#?}");
    check_product(&cli, &other);
}
