//! The input `helm`: charts that are packed, and charts that are none.

use insta::assert_snapshot;
use ocm_testkit::{Cli, Fault, Run};

use crate::world::{IMPATIENT, conformance, empty, registry};

/// Returns a directory with two charts, of which one is malformed.
fn charts() -> Cli {
    let cli = empty();
    for chart in ["mychart", "badchart"] {
        cli.copy(
            conformance(&format!("helm/{chart}")),
            format!("src/{chart}"),
        );
    }
    cli.write(".ocmconfig", IMPATIENT);
    cli
}

/// Packs a component with one chart.
fn add(cli: &Cli, input: &str) -> Run {
    cli.write(
        "src/app.yaml",
        format!(
            "name: acme.org/app\nversion: 1.0.0\nprovider: {{name: acme}}\nresources:\n\
             - name: chart\n  type: helmChart\n  input: {{type: helm, {input}}}\n"
        ),
    );
    cli.run("add cv -r shop src/app.yaml")
}

#[test]
fn a_chart_is_packed_and_verified_on_the_way() {
    let cli = charts();
    assert_snapshot!(add(&cli, "path: mychart"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER  OUTCOME
    acme.org/app  1.0.0    acme      added
    --- stderr
    packed 1 component version with 959 B of content into shop
    ");
    cli.ok("transfer ctf shop far.tar");
    assert_snapshot!(cli.run("get resources far.tar//acme.org/app:1.0.0"), @r"
    $ ocm get resources far.tar//acme.org/app:1.0.0
    exit 0
    --- stdout
    NAME   VERSION  IDENTITY  TYPE       RELATION
    chart  1.0.0    -         helmChart  local
    ");
    assert_snapshot!(cli.run("download resource far.tar//acme.org/app:1.0.0 chart"), @r"
    $ ocm download resource far.tar//acme.org/app:1.0.0 chart
    exit 0
    --- stderr
    downloaded <dir>/chart (digest sha256:<digest> verified)
    ");
    assert!(cli.path("chart/oci-layout").is_file());
}

#[test]
fn a_chart_that_is_none_is_refused() {
    let cli = charts();
    cli.write("src/cut.tgz", [0x1f, 0x8b, 8, 0, 0]);
    cli.write("src/text.tgz", "this is no chart");
    cli.copy(conformance("helm/mychart"), "outside");
    assert_snapshot!(add(&cli, "path: badchart"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:10: resources[0].input: cannot use the chart
      caused by: Chart.yaml has no text in the field `version`
    ");
    assert_snapshot!(add(&cli, "path: nochart"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:29: resources[0].input.path: cannot open <dir>/src/nochart
      caused by: No such file or directory (os error 2)
    ");
    assert_snapshot!(add(&cli, "path: ../outside"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:29: resources[0].input.path: ../outside is not inside of <dir>/src
    ");
    assert_snapshot!(add(&cli, "path: cut.tgz"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:10: resources[0].input: cannot use the chart
      caused by: <dir>/src/cut.tgz cannot be read as a packaged chart
      caused by: malformed tar: it ends without its end mark, so it may be cut off
    ");
    assert_snapshot!(add(&cli, "path: text.tgz"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:10: resources[0].input: cannot use the chart
      caused by: <dir>/src/text.tgz cannot be read as a packaged chart
      caused by: cannot read the archive
      caused by: invalid gzip header
    ");
    assert_snapshot!(add(&cli, "path: mychart, version: 7.0.0"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:47: resources[0].input.version: the chart has the version `0.1.0`, not `7.0.0`
    ");
    assert_snapshot!(add(&cli, "path: mychart, flavour: sweet"), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:47: resources[0].input.flavour: is not a field of `helm`; known are `path`, `helmRepository`, `version`, `repository`, `caCert`, `caCertFile`
    ");
    assert!(!cli.path("shop").exists(), "an archive was created");
}

#[test]
fn a_chart_repository_that_fails_is_named() {
    let mut cli = charts();
    let (mut registry, place) = registry(&mut cli);
    let charts = format!("helmRepository: '{place}', path: mychart, version: 0.1.0");
    assert_snapshot!(add(&cli, &charts), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 3
    --- stderr
    error: src/app.yaml:7:39: resources[0].input.helmRepository: cannot read a chart from http://<host>/shop
      caused by: http://<host>/shop/index.yaml not found
    ");
    registry.fail(usize::MAX, "GET", "/shop", Fault::Status(503));
    assert_snapshot!(add(&cli, &charts), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 7
    --- stderr
    error: src/app.yaml:7:39: resources[0].input.helmRepository: cannot read a chart from http://<host>/shop
      caused by: http://<host>/shop/index.yaml: the server answered 503 Service Unavailable
    ");
    registry.heal();
    registry.fail(usize::MAX, "GET", "/shop", Fault::Status(401));
    assert_snapshot!(add(&cli, &charts), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 5
    --- stderr
    error: src/app.yaml:7:39: resources[0].input.helmRepository: cannot read a chart from http://<host>/shop
      caused by: http://<host>/shop/index.yaml: not authenticated

    hint: log in with `docker login`, or configure credentials for the host in .ocmconfig; docs/guide/credentials.md shows both
    ");
    registry.stop();
    assert_snapshot!(add(&cli, &charts), @r"
    $ ocm add cv -r shop src/app.yaml
    exit 7
    --- stderr
    error: src/app.yaml:7:39: resources[0].input.helmRepository: cannot read a chart from http://<host>/shop
      caused by: http://<host>/shop/index.yaml: cannot connect
      caused by: Connection refused (os error 111)
    ");
    assert!(!cli.path("shop").exists(), "an archive was created");
}
