//! Nothing calls home: whatever needs nothing outside works without a way out, and asks nobody.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use ocm_testkit::Cli;

use crate::world::{IMPATIENT, PRODUCT, check_product, registry, signed};

/// A component version whose content lies elsewhere, where nobody is.
const ELSEWHERE: &str = "name: acme.org/elsewhere
version: 1.0.0
provider: {name: acme}
sources:
- name: code
  type: git
  version: 1.0.0
  access: {type: git, repository: 'https://git.acme.example/code', ref: main}
resources:
- {name: text, type: blob, input: {type: utf8, text: here}}
- name: image
  type: ociImage
  version: 1.0.0
  access: {type: ociArtifact, imageReference: 'registry.acme.example/image:1.0.0'}
- name: chart
  type: helmChart
  version: 1.0.0
  access: {type: helm, helmRepository: 'https://charts.acme.example', helmChart: 'chart:1.0.0'}
- name: page
  type: blob
  version: 1.0.0
  access: {type: wget, url: 'http://web.acme.example/page'}
";

/// Returns the signed product in `shop`, with a component version whose content is elsewhere.
fn world() -> Cli {
    let cli = signed();
    cli.write("elsewhere.yaml", ELSEWHERE);
    cli.ok("add cv -r shop --skip-reference-digest-processing elsewhere.yaml");
    cli
}

#[test]
fn archives_are_transferred_without_any_network() {
    let cli = world();
    let script = r#"
        "$OCM" transfer ctf shop far.tar
        "$OCM" transfer ctf far.tar far.tgz
        "$OCM" transfer ctf far.tgz back
        "$OCM" verify cv -k acme.pub back//acme.org/bar/product:1.0.0
        "$OCM" download resource back//acme.org/elsewhere:1.0.0 text
    "#;
    if let Some(run) = cli.run_alone(script) {
        assert_eq!(run.code, Some(0), "{run}");
        check_product(&cli, "back");
    }
}

#[test]
fn a_registry_at_loopback_is_enough() {
    let cli = world();
    let script = r#"
        command -v ip > /dev/null || { echo "ip, of iproute2" >&2; exit 77; }
        ip link set lo up
        mkfifo said
        "$OCM" serve served --listen 127.0.0.1:5001 2> said &
        server=$!
        exec 3< said
        read -r line <&3
        "$OCM" transfer ctf shop http://127.0.0.1:5001/shop
        "$OCM" transfer ctf http://127.0.0.1:5001/shop far.tar
        kill -INT $server
    "#;
    if let Some(run) = cli.run_alone(script) {
        assert_eq!(run.code, Some(0), "{run}");
        check_product(&cli, "far.tar");
    }
}

/// A proxy that is asked for everything that is not on this machine. It notes what, and refuses.
fn recorder() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let read = BufReader::new(&stream).read_line(&mut line);
            read.unwrap_or_default();
            noted.lock().unwrap().push(line.trim().to_owned());
            let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
            (&stream).write_all(refusal).ok();
        }
    });
    (url, asked)
}

#[test]
fn nobody_is_asked_who_need_not_be() {
    let mut cli = world();
    let (_registry, place) = registry(&mut cli);
    let (proxy, asked) = recorder();
    for variable in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ] {
        cli.set(variable, &proxy);
    }
    cli.write(".ocmconfig", IMPATIENT);
    cli.ok(&format!("transfer ctf shop {place}"));
    cli.ok(&format!("transfer ctf {place} far.tar"));
    cli.ok(&format!("transfer cv -r --verify acme.pub {PRODUCT} back"));
    cli.ok("transfer ctf far.tar far.tgz");
    check_product(&cli, "back");
    for command in [
        "list far.tar",
        "get cv far.tgz -o json",
        "get resources far.tar//acme.org/elsewhere:1.0.0",
        "check far.tar//acme.org/bar/product:1.0.0",
        "hash cv far.tar//acme.org/bar/product:1.0.0",
        "download resource far.tar//acme.org/elsewhere:1.0.0 text",
        "version",
    ] {
        cli.ok(command);
    }
    assert_eq!(*asked.lock().unwrap(), [""; 0]);

    // Who is to copy what is elsewhere asks there, and so meets the proxy.
    let copy = "transfer cv --copy-resources shop//acme.org/elsewhere:1.0.0 copied";
    let run = cli.run(copy);
    assert!(matches!(run.code, Some(5 | 7)), "{run}");
    let asked = asked.lock().unwrap().join("\n");
    assert!(asked.contains("acme.example"), "{asked}");
}
