//! A proxy between a client and a registry that disturbs what passes, byte by byte.

mod exchange;
mod message;
mod step;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

pub use self::step::{Disturbance, Step};

use self::exchange::{Reply, serve};
use self::message::{Framing, Head};

/// Where the proxy hands out tokens, if it asks for them.
const TOKEN_PATH: &str = "/token";

/// The header by which a token proves itself.
const AUTHORIZATION: &str = "authorization";

/// A proxy on a free port of this machine. It ends when it is dropped.
///
/// It passes requests of HTTP/1.1 on to a registry, and counts them. What [`disturb`] says happens
/// to single requests, in the order in which it was said; the [`Line`] to all of them.
///
/// [`disturb`]: Self::disturb
#[derive(Debug)]
pub struct FaultProxy {
    host: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a line between two places is, apart from single disturbances.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// How long it takes to go there and back. A new connection takes it once, a request once.
    pub latency: Duration,
    /// How many bytes pass in a second, in each direction of a connection; none means no limit.
    pub bytes_per_second: Option<u64>,
    /// How many of a thousand requests are cut, in the middle of their way there or back. The same
    /// ones in each run.
    pub cuts_per_mille: u64,
    /// How many bytes the system takes at most that nobody has asked for yet; none leaves that to
    /// the system.
    pub receive_buffer: Option<u32>,
}

/// What has passed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Passed {
    /// Connections of clients.
    pub connections: u64,
    /// Requests.
    pub requests: u64,
    /// Requests that were disturbed, one by one.
    pub disturbed: u64,
    /// Requests that the line has cut.
    pub cut: u64,
    /// Bytes of bodies on their way to the registry.
    pub sent: u64,
    /// Bytes of bodies on their way back.
    pub received: u64,
}

#[derive(Debug)]
struct Shared {
    registry: String,
    line: Line,
    state: Mutex<State>,
    /// How many requests were answered, for those who wait for others.
    answered: watch::Sender<u64>,
    /// The step whose requests wait for each other, and until how many they are.
    meeting: watch::Sender<Option<(Step, usize)>>,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<String>,
    rules: Vec<Rule>,
    passed: Passed,
    /// How many requests of a step are under way, and how many were at most.
    under_way: BTreeMap<Step, (usize, usize)>,
    /// What has been answered, for requests that are to be late.
    answers: Vec<String>,
    /// The number of the token that is good; `None` if everybody is let in.
    token: Option<u64>,
}

#[derive(Debug)]
struct Rule {
    /// Which requests it is about; all if there is none.
    step: Option<Step>,
    fragment: String,
    /// How many of them pass before.
    skip: usize,
    times: usize,
    disturbance: Disturbance,
}

impl FaultProxy {
    /// Starts a proxy for the registry at a host and port.
    pub fn start(registry: &str) -> Self {
        Self::on(registry, Line::default())
    }

    /// Starts a proxy at the end of a line.
    pub fn on(registry: &str, line: Line) -> Self {
        let shared = Arc::new(Shared {
            registry: registry.to_owned(),
            line,
            state: Mutex::default(),
            answered: watch::Sender::new(0),
            meeting: watch::Sender::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = std::sync::mpsc::channel();
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = listen(line.receive_buffer).expect("a free port");
                let address = listener.local_addr().expect("an address");
                bound.send(address).expect("a test that listens");
                tokio::select! {
                    () = accept(&listener, &state) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = address.recv().expect("a proxy that starts");
        Self {
            host: address.to_string(),
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Disturbs the next requests of a step.
    pub fn disturb(&self, step: Step, times: usize, disturbance: Disturbance) {
        self.disturb_where(step, "", times, disturbance);
    }

    /// Disturbs the next requests of a step in whose target a text stands.
    pub fn disturb_where(
        &self,
        step: Step,
        fragment: &str,
        times: usize,
        disturbance: Disturbance,
    ) {
        self.shared.lock().rules.push(Rule {
            step: Some(step),
            fragment: fragment.to_owned(),
            skip: 0,
            times,
            disturbance,
        });
    }

    /// Disturbs one request, after so many others of any step.
    pub fn disturb_after(&self, skip: usize, disturbance: Disturbance) {
        self.shared.lock().rules.push(Rule {
            step: None,
            fragment: String::new(),
            skip,
            times: 1,
            disturbance,
        });
    }

    /// Lets everything pass from now on.
    pub fn heal(&self) {
        self.shared.lock().rules.clear();
    }

    /// Asks for a token from now on, which the proxy itself hands out to everybody
    /// (distribution token specification).
    pub fn want_tokens(&self) {
        self.shared.lock().token = Some(0);
    }

    /// Returns method and target of the requests since the last time they were taken.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().requests)
    }

    /// Holds the next requests of a step until so many of them are under way at the same time.
    pub fn hold_until(&self, step: Step, count: usize) {
        self.shared.meeting.send_replace(Some((step, count)));
    }

    /// Returns how many requests of a step were under way at the same time, at most.
    pub fn most_at_once(&self, step: Step) -> usize {
        let state = self.shared.lock();
        state.under_way.get(&step).map_or(0, |(_, most)| *most)
    }

    /// Returns what has passed so far.
    pub fn passed(&self) -> Passed {
        self.shared.lock().passed
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has failed the test by what it did not answer.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request, and returns what disturbs it.
    fn note(&self, head: &Head) -> Option<Disturbance> {
        let (method, target) = (head.method(), head.second());
        let step = Step::of(method, target);
        let mut state = self.lock();
        state.requests.push(format!("{method} {target}"));
        state.passed.requests += 1;
        let fits = |rule: &&mut Rule| {
            rule.times > 0
                && (rule.step.is_none() || rule.step == step)
                && target.contains(&rule.fragment)
        };
        if let Some(rule) = state.rules.iter_mut().find(fits) {
            if rule.skip == 0 {
                rule.times -= 1;
                let disturbance = rule.disturbance.clone();
                state.passed.disturbed += 1;
                return Some(disturbance);
            }
            rule.skip -= 1;
        }
        let size = match head.request_body() {
            Framing::Length(size) => size,
            Framing::Chunked(_) | Framing::UntilClose => 0,
        };
        let cut = self.line.cut(state.passed.requests, size)?;
        state.passed.cut += 1;
        Some(cut)
    }

    fn answered(&self, request: String) {
        self.lock().answers.push(request);
        self.answered.send_modify(|count| *count += 1);
    }

    /// Waits until the same request has been answered, which another connection makes.
    async fn wait_for_another(&self, request: &str) {
        let mut answered = self.answered.subscribe();
        let before = self.count(request);
        // The sender lives as long as this.
        let _ = answered.wait_for(|_| self.count(request) > before).await;
    }

    fn count(&self, request: &str) -> usize {
        let state = self.lock();
        let same = state.answers.iter().filter(|known| *known == request);
        same.count()
    }

    /// Waits as long as requests of this step wait for others of them.
    async fn meet(&self, step: Option<Step>) {
        let mut meeting = self.meeting.subscribe();
        let is_over =
            |held: &Option<(Step, usize)>| held.is_none_or(|(held, _)| Some(held) != step);
        // The sender lives as long as this.
        let _ = meeting.wait_for(is_over).await;
    }

    /// Returns the answer to somebody who has to ask for a token first, or asks for one.
    fn gate(&self, head: &Head, proxy: &str) -> Option<Reply> {
        let number = self.lock().token?;
        if head.second().split('?').next() == Some(TOKEN_PATH) {
            // Nobody may rely on when it was issued: clocks differ.
            let body = format!(
                r#"{{"token":"t{number}","expires_in":300,"issued_at":"1970-01-01T00:00:00Z"}}"#
            );
            return Some(Reply::new(200, &[], &body));
        }
        let good = format!("Bearer t{number}");
        if head.header(AUTHORIZATION) == Some(good.as_str()) {
            return None;
        }
        let challenge = format!(r#"Bearer realm="http://{proxy}{TOKEN_PATH}",service="proxy""#);
        Some(Reply::new(401, &[("www-authenticate", &challenge)], ""))
    }
}

impl Line {
    /// Returns how a request is cut, by its number and the size of its body, if it is.
    fn cut(&self, number: u64, size: u64) -> Option<Disturbance> {
        let chance = mixed(number);
        if chance % 1000 >= self.cuts_per_mille {
            return None;
        }
        Some(if (chance / 1000).is_multiple_of(2) {
            Disturbance::CutRequest(size / 2)
        } else {
            Disturbance::HalfAnswer
        })
    }
}

/// Returns a number in which every bit depends on every bit of another (`SplitMix64`).
const fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Listens at a free port; connections have the buffer of the socket that they come to.
fn listen(receive_buffer: Option<u32>) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(1024)
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            shared.lock().passed.connections += 1;
            sleep(shared.line.latency).await;
            // A connection that fails is what clients are to bear.
            let _ = serve(client, &shared).await;
        });
    }
}
