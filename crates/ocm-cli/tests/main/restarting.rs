//! `ocm serve`, killed in the middle of a push, and started again.

use std::io::Write as _;

use ocm::digest::Digest;
use ocm_testkit::{Cli, Started};

use crate::raw::{body_of, connect, exchange, header, host_of};
use crate::world::{empty, listening, noise};

/// Starts a server over the directory `served`, and returns it with its host and port.
fn serve<'a>(cli: &'a Cli, listen: &str) -> (Started<'a>, String) {
    let (server, url) = listening(cli.start(&format!("serve served --listen {listen}")));
    (server, host_of(&url).to_owned())
}

/// Returns how many bytes of an upload the server says it has.
fn received(address: &str, location: &str) -> usize {
    let (head, _) = exchange(address, &format!("GET {location} HTTP/1.1"), b"");
    assert!(head.starts_with("HTTP/1.1 204"), "{head}");
    let range = header(&head, "range");
    let last: usize = range.strip_prefix("0-").unwrap().parse().unwrap();
    if last == 0 { 0 } else { last + 1 }
}

#[test]
fn a_push_goes_on_after_the_server_was_killed() {
    const CHUNK: usize = 3_000_000;
    const ARRIVED: usize = 1_500_000;

    let cli = empty();
    let content = noise(CHUNK * 3, 1);
    let (server, address) = serve(&cli, "127.0.0.1:0");
    let (head, _) = exchange(&address, "POST /v2/shop/blobs/uploads/ HTTP/1.1", b"");
    let location = header(&head, "location");
    let patch = format!(
        "PATCH {location} HTTP/1.1\r\ncontent-range: 0-{}",
        CHUNK - 1
    );
    let (head, _) = exchange(&address, &patch, &content[..CHUNK]);
    assert!(head.starts_with("HTTP/1.1 202"), "{head}");

    // The second chunk is on its way.
    let patch = format!(
        "PATCH {location} HTTP/1.1\r\ncontent-range: {CHUNK}-{}\r\ncontent-length: {CHUNK}",
        CHUNK * 2 - 1
    );
    let mut cut = connect(&address, &patch);
    cut.write_all(&content[CHUNK..CHUNK + ARRIVED]).unwrap();
    while received(&address, &location) < CHUNK + ARRIVED {
        std::thread::yield_now();
    }
    assert_eq!(server.signal("KILL").code, None);
    drop(cut);

    let (server, address) = serve(&cli, &address);
    let known = received(&address, &location);
    assert!((CHUNK..=CHUNK + ARRIVED).contains(&known), "{known}");
    let elsewhere = location.replace("/shop/", "/other/");
    let (head, _) = exchange(&address, &format!("GET {elsewhere} HTTP/1.1"), b"");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let patch = format!(
        "PATCH {location} HTTP/1.1\r\ncontent-range: {known}-{}",
        content.len() - 1
    );
    let (head, _) = exchange(&address, &patch, &content[known..]);
    assert!(head.starts_with("HTTP/1.1 202"), "{head}");
    assert_eq!(server.signal("KILL").code, None);

    let (_server, address) = serve(&cli, &address);
    assert_eq!(received(&address, &location), content.len());
    let digest = Digest::sha256(&content);
    let put = format!("PUT {location}?digest={digest} HTTP/1.1");
    let (head, _) = exchange(&address, &put, b"");
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    let body = body_of(&address, &format!("/v2/shop/blobs/{digest}"));
    assert!(body == content, "{} bytes", body.len());
}

#[test]
fn the_first_chunk_of_a_push_is_not_lost_either() {
    let cli = empty();
    let content = noise(2_000_000, 1);
    let (server, address) = serve(&cli, "127.0.0.1:0");
    let (head, _) = exchange(&address, "POST /v2/shop/blobs/uploads/ HTTP/1.1", b"");
    let location = header(&head, "location");
    let patch = format!(
        "PATCH {location} HTTP/1.1\r\ncontent-length: {}",
        content.len()
    );
    let mut cut = connect(&address, &patch);
    cut.write_all(&content[..1_000_000]).unwrap();
    while received(&address, &location) < 1_000_000 {
        std::thread::yield_now();
    }
    assert_eq!(server.signal("KILL").code, None);
    let (_server, address) = serve(&cli, &address);
    let known = received(&address, &location);
    assert!(known > 0);
    let digest = Digest::sha256(&content);
    let put = format!("PUT {location}?digest={digest} HTTP/1.1");
    let (head, _) = exchange(&address, &put, &content[known..]);
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
}
