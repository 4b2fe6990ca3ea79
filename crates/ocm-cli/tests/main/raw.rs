//! Requests to a server as they are, each over a connection of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// Returns host and port of a URL without TLS.
pub(crate) fn host_of(url: &str) -> &str {
    url.strip_prefix("http://").unwrap()
}

/// Sends the head of a request.
pub(crate) fn connect(host: &str, head: &str) -> TcpStream {
    let mut connection = TcpStream::connect(host).unwrap();
    let head =
        format!("{head}\r\n\r\n").replacen("\r\n", "\r\nhost: x\r\nconnection: close\r\n", 1);
    connection.write_all(head.as_bytes()).unwrap();
    connection
}

/// Sends a request, and returns head and body of the answer, which may come before all is sent.
pub(crate) fn exchange(host: &str, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let head = format!("{head}\r\ncontent-length: {}", body.len());
    let mut connection = connect(host, &head);
    let sent = connection.write_all(body);
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer to {head}: {sent:?}, {read:?}"));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head, answer.split_off(end + 4))
}

/// Returns what a path has.
pub(crate) fn body_of(host: &str, path: &str) -> Vec<u8> {
    let (head, body) = exchange(host, &format!("GET {path} HTTP/1.1"), b"");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body
}

/// Returns the value of a header.
pub(crate) fn header(head: &str, name: &str) -> String {
    let value = head.lines().find_map(|line| line.strip_prefix(name));
    let value = value.unwrap_or_else(|| panic!("no {name} in {head}"));
    value.trim_start_matches(':').trim().to_owned()
}
