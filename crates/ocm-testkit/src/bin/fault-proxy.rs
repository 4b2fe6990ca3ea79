//! The fault proxy as a program: `fault-proxy HOST:PORT [--latency MS] [--cuts PER-MILLE]
//! [--bytes-per-second N]`. It says where it listens, and for each line on its standard input what
//! has passed; it ends with that input.

use std::io::BufRead as _;
use std::time::Duration;

use ocm_testkit::{FaultProxy, Line, Passed};

#[expect(clippy::print_stdout, reason = "what it is asked for")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let registry = arguments.next().expect("the host and port of a registry");
    let mut line = Line::default();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        let value: u64 = value.unwrap_or_else(|| panic!("{flag} wants a number"));
        match flag.as_str() {
            "--latency" => line.latency = Duration::from_millis(value),
            "--cuts" => line.cuts_per_mille = value,
            "--bytes-per-second" => line.bytes_per_second = Some(value),
            _ => panic!("there is no {flag}"),
        }
    }
    let proxy = FaultProxy::on(&registry, line);
    println!("listening on http://{}", proxy.host());
    for _ in std::io::stdin().lock().lines() {
        let Passed {
            connections,
            requests,
            cut,
            sent,
            received,
            ..
        } = proxy.passed();
        println!(
            "connections {connections} requests {requests} cut {cut} sent {sent} received {received}"
        );
    }
}
