//! `ocm serve` with more connections than usual, or than there is room for; and its end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::world::empty;

const GET: &[u8] = b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n";

/// How long an answer is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server in memory, with a limit on its open files.
struct Server {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Server {
    fn start(limit: u64, flags: &str) -> Self {
        let script = format!("ulimit -n {limit}; exec \"$0\" serve --listen 127.0.0.1:0 {flags}");
        let mut child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_ocm")])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        let (_, address) = line.split_once("listening on http://").unwrap();
        Self {
            child,
            errors,
            address: address.trim().to_owned(),
        }
    }

    fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection
    }

    /// Returns a line of what the system says of the process.
    #[cfg(target_os = "linux")]
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let value = line.unwrap().trim_start_matches(':').trim();
        value.split(' ').next().unwrap().parse().unwrap()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends the server, and returns its exit code and what it has said.
    fn end(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.ended()
    }

    fn ended(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.errors.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the head of an answer and a body of two bytes.
fn answer(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n{}") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_connections_are_open_at_a_time() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    // Some are for other things, here and there.
    let count = most.saturating_sub(200).min(10_000);
    eprintln!("{count} connections, since a process may have {most} open files here");
    let server = Server::start(
        most.min(1 << 20),
        &format!("--max-connections {}", count + 1),
    );
    let mut first = server.connect();
    first.write_all(GET).unwrap();
    answer(&mut first);
    let before = server.status("VmRSS");
    let mut open = Vec::new();
    for _ in 0..count {
        let mut connection = server.connect();
        connection.write_all(GET).unwrap();
        open.push(connection);
    }
    for connection in &mut open {
        assert!(answer(connection).starts_with("HTTP/1.1 200 "));
    }
    let each = (server.status("VmRSS") - before) * 1024 / count.max(1);
    eprintln!("{each} bytes of memory for each connection");
    assert!(each < 32 * 1024, "{each} bytes for each connection");
    // All of them are still open, and served.
    for connection in open.iter_mut().step_by(997).chain([&mut first]) {
        connection.write_all(GET).unwrap();
        assert!(answer(connection).starts_with("HTTP/1.1 200 "));
    }
    drop(open);
    let (code, said) = server.end();
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn where_no_file_can_be_opened_connections_wait_and_nothing_spins() {
    let server = Server::start(40, "--max-connections 1000");
    let mut open: Vec<_> = (0..60).map(|_| server.connect()).collect();
    for connection in &mut open {
        connection.write_all(GET).unwrap();
    }
    // The first ones are served, and those at the end when the others have gone.
    answer(&mut open[0]);
    let waits = open.last_mut().unwrap();
    waits
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    assert!(waits.read(&mut [0]).is_err());
    let spent = server.cpu_ticks();
    assert!(spent < 50, "{spent} hundredths of a second of computing");
    let mut last = open.split_off(50);
    drop(open);
    for connection in &mut last {
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(answer(connection).starts_with("HTTP/1.1 200 "));
    }
    drop(last);
    let (code, said) = server.end();
    assert_eq!(code, Some(0));
    let complaints = said.matches("no more connections can be accepted").count();
    assert!((1..5).contains(&complaints), "{said}");
}

#[cfg(target_os = "linux")]
impl Server {
    /// Returns how long the process has computed so far, in hundredths of a second.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name, which may have spaces, come the state and ten numbers.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let fields: Vec<_> = rest.split_whitespace().collect();
        fields[11..13]
            .iter()
            .map(|it| it.parse::<u64>().unwrap())
            .sum()
    }
}

#[cfg(unix)]
#[test]
fn a_request_under_way_is_finished_broken_off_or_given_up() {
    // Until when it waits, and what ends it before.
    for (flags, again, expected) in [
        ("--shutdown-grace 0", None, Some(0)),
        ("--shutdown-grace 600", Some("INT"), Some(130)),
    ] {
        let mut server = Server::start(200, flags);
        let mut slow = server.connect();
        let request = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\n\r\n";
        slow.write_all(request.as_bytes()).unwrap();
        let mut head = BufReader::new(slow.try_clone().unwrap());
        let location = loop {
            let mut line = String::new();
            head.read_line(&mut line).unwrap();
            if let Some(location) = line.strip_prefix("location: ") {
                break location.trim().to_owned();
            }
        };
        let request = format!(
            "PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n"
        );
        slow.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        while !line.starts_with("HTTP/1.1 100") {
            line.clear();
            assert_ne!(head.read_line(&mut line).unwrap(), 0);
        }
        server.signal("TERM");
        // The socket is closed before requests are waited for.
        while TcpStream::connect(&server.address).is_ok() {}
        // What comes within a second of the first is the same wish once more.
        while let Some(signal) = again
            && server.child.try_wait().unwrap().is_none()
        {
            server.signal(signal);
            std::thread::sleep(Duration::from_millis(200));
        }
        let (code, _) = server.ended();
        assert_eq!(code, expected, "{flags}");
    }
    let cli = empty();
    assert_eq!(cli.run("serve --shutdown-grace x").code, Some(2));
}
