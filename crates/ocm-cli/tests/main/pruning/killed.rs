//! Pruning that is killed anywhere: what stays is whole, and the same command goes on.

use std::time::Duration;

use ocm_testkit::Fault;
use serde_json::Value;

use super::{ARCHIVES, FOREVER, NEW, at, check, in_registry};

/// Kills the command where it deletes each of the versions that go.
#[test]
fn pruning_a_registry_is_killed_anywhere_and_goes_on() {
    for id in ["lib:1.0.0", "shop:1.0.0", "shop:2.0.0"] {
        let (cli, registry, place) = in_registry();
        let state = cli.ok(&format!("state export {place}"));
        let state: Value = serde_json::from_str(&state).unwrap();
        let digest = state["componentVersions"][format!("acme.org/{id}")]
            .as_str()
            .unwrap();
        registry.take_requests();
        registry.fail(FOREVER, "DELETE", digest, Fault::Hold);
        let command = format!("prune {place} --root acme.org/shop --yes");
        let started = cli.start(&command);
        let name = id.split(':').next().unwrap();
        let path = format!("component-descriptors/acme.org/{name}/manifests/{digest}");
        registry.wait_for(&format!("DELETE /v2/shop/{path}"));
        assert_eq!(started.signal("KILL").code, None);
        registry.heal();
        for id in NEW {
            cli.ok(&format!("check --content {place}//acme.org/{id}"));
        }
        cli.ok(&command);
        check(&cli, &place, &NEW);
    }
}

/// Kills the command in archives wherever it happens to be after some time, and where its files
/// have some size: what stays is whole, and the same command ends what was begun.
#[test]
fn pruning_an_archive_is_killed_anywhere_and_goes_on() {
    for archive in ARCHIVES {
        let command = format!("prune {archive} --root acme.org/shop --yes");
        for seed in 0..12_u64 {
            let cli = at(archive);
            if seed < 4 {
                cli.run_until_killed(seed, &command);
            } else {
                let started = cli.start(&command);
                // What counts holds wherever that is.
                let microseconds = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50;
                std::thread::sleep(Duration::from_micros(microseconds));
                started.signal("KILL");
            }
            for id in NEW {
                cli.ok(&format!("check --content {archive}//acme.org/{id}"));
            }
            cli.ok(&command);
            check(&cli, archive, &NEW);
            let report = cli.ok(&format!("prune {archive} --root acme.org/shop -o json"));
            let report: Value = serde_json::from_str(&report).unwrap();
            assert_eq!(report[0]["blobs"], 0, "{report}");
        }
    }
}
