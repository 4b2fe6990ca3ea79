//! A registry that drops what it is sent, to see what a client needs alone.
//!
//! What is small it checks first, as registries do with everything: a client that sees that a
//! registry checks what it is sent has no more to do than it has with any other.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Result;
use ocm_digest::Digest;

/// How much is read at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// Up to which size content has to be what its digest says, in bytes.
const CHECKED: u64 = 512;

/// A registry that has nothing and takes everything. It ends with the process.
pub(crate) struct Sink {
    pub(crate) host: String,
    taken: Arc<AtomicU64>,
}

impl Sink {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = listener.local_addr()?.to_string();
        let taken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&taken);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                // A client that goes away has ended its connection, which is no failure.
                thread::spawn(move || serve(&connection, &counter).ok());
            }
        });
        Ok(Self { host, taken })
    }

    /// Returns the bytes of all bodies that have come.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// The answer to content that is not what its digest says.
const WRONG: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 38\r\n\r\n\
                     {\"errors\":[{\"code\":\"DIGEST_INVALID\"}]}";

/// Answers the requests of a connection until its client ends it.
fn serve(connection: &TcpStream, taken: &AtomicU64) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(CHUNK, connection);
    let mut writer = connection;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut size, mut is_last) = (0, false);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                size = value.trim().parse().map_err(io::Error::other)?;
            }
            is_last |= name.eq_ignore_ascii_case("connection") && value.trim() == "close";
        }
        let is_right = if size <= CHECKED {
            let mut body = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            reader.read_exact(&mut body)?;
            is_as_named(&first, &body)
        } else {
            drop_bytes(&mut reader, size)?;
            true
        };
        taken.fetch_add(size, Ordering::Relaxed);
        let answer = if is_right {
            answer(&first)
        } else {
            WRONG.to_owned()
        };
        writer.write_all(answer.as_bytes())?;
        if is_last {
            return Ok(());
        }
    }
}

/// Tells whether a body is what the digest in a request says, if there is one.
fn is_as_named(request: &str, body: &[u8]) -> bool {
    let target = request.split_whitespace().nth(1).unwrap_or_default();
    let digest = target.split_once("digest=").map(|(_, digest)| digest);
    digest.is_none_or(|digest| digest.replace("%3A", ":") == Digest::sha256(body).to_string())
}

/// Reads so many bytes without copying them anywhere.
fn drop_bytes(reader: &mut impl BufRead, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let there = reader.fill_buf()?.len() as u64;
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let dropped = there.min(left);
        reader.consume(usize::try_from(dropped).map_err(io::Error::other)?);
        left -= dropped;
    }
    Ok(())
}

fn answer(request: &str) -> String {
    let mut words = request.split_whitespace();
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let (status, location) = match method {
        Some("POST") => ("202 Accepted", format!("location: {target}1\r\n")),
        Some("PUT" | "PATCH") => ("201 Created", format!("location: {target}\r\n")),
        _ if target == "/v2/" => ("200 OK", String::new()),
        _ => ("404 Not Found", String::new()),
    };
    format!("HTTP/1.1 {status}\r\n{location}content-length: 0\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::super::bare::put_blob;
    use super::*;

    #[test]
    fn what_is_small_has_to_be_what_its_digest_says() {
        let sink = Sink::start().unwrap();
        let (right, wrong) = (Digest::sha256(b"x"), Digest::sha256(b"y"));
        let put = |digest| put_blob(&sink.host, digest, 1, [&b"x"[..]].into_iter());
        put(&right).unwrap();
        let error = put(&wrong).unwrap_err().to_string();
        assert!(error.contains("400"), "{error}");
        assert_eq!(WRONG.split_once("\r\n\r\n").unwrap().1.len(), 38);
    }

    #[test]
    fn everything_is_taken_and_counted() {
        let sink = Sink::start().unwrap();
        let digest = Digest::sha256("whatever");
        for _ in 0..2 {
            let parts = [&[1; 1000][..], &[2; 24]];
            put_blob(&sink.host, &digest, 1024, parts.into_iter()).unwrap();
        }
        assert_eq!(sink.taken(), 2048);
    }
}
