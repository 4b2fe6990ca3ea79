//! One request on its way through the proxy, and its answer on the way back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Instant, sleep, sleep_until};

use super::message::{Framing, Head, Incoming};
use super::step::{Disturbance, Step};
use super::{Line, Shared};

/// Passes the requests of a connection on until something ends it.
pub(super) async fn serve(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let proxy = client.local_addr()?.to_string();
    let mut client = End::new(client, &shared.line)?;
    let registry = TcpStream::connect(&shared.registry).await?;
    let mut registry = End::new(registry, &shared.line)?;
    while let Some(head) = client.incoming.head().await? {
        let disturbance = shared.note(&head);
        let under_way = UnderWay::new(shared, &head);
        shared.meet(under_way.step).await;
        sleep(shared.line.latency).await;
        let mut exchange = Exchange {
            shared,
            body: head.request_body(),
            head,
            client: &mut client,
            registry: &mut registry,
        };
        if !exchange.run(disturbance, &proxy).await? {
            break;
        }
    }
    Ok(())
}

/// A request that was not answered yet.
struct UnderWay<'a> {
    shared: &'a Shared,
    step: Option<Step>,
}

impl<'a> UnderWay<'a> {
    fn new(shared: &'a Shared, head: &Head) -> Self {
        let step = Step::of(head.method(), head.second());
        if let Some(step) = step {
            let mut state = shared.lock();
            let (now, most) = state.under_way.entry(step).or_default();
            *now += 1;
            *most = (*most).max(*now);
            let now = *now;
            shared.meeting.send_if_modified(|meeting| {
                let is_met = meeting.is_some_and(|(held, count)| held == step && now >= count);
                is_met && meeting.take().is_some()
            });
        }
        Self { shared, step }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some((now, _)) = self.step.and_then(|step| state.under_way.get_mut(&step)) {
            *now -= 1;
        }
    }
}

/// One request and its answer.
struct Exchange<'a> {
    shared: &'a Shared,
    head: Head,
    body: Framing,
    client: &'a mut End,
    registry: &'a mut End,
}

impl Exchange<'_> {
    /// Returns whether the connection can be used again.
    async fn run(&mut self, disturbance: Option<Disturbance>, proxy: &str) -> io::Result<bool> {
        match &disturbance {
            Some(Disturbance::Expired) => {
                let mut state = self.shared.lock();
                state.token = state.token.map(|number| number + 1);
            }
            Some(Disturbance::Meanwhile(work)) => {
                let work = Arc::clone(work);
                let done = tokio::task::spawn_blocking(move || work()).await;
                done.map_err(io::Error::other)?;
            }
            Some(Disturbance::Answer(status, headers)) => {
                let headers = headers.iter();
                let headers: Vec<(&str, &str)> =
                    headers.map(|(name, value)| (&**name, &**value)).collect();
                return self.reply(&Reply::new(*status, &headers, "")).await;
            }
            Some(Disturbance::Round) => {
                let place = self.head.second().to_owned();
                return self
                    .reply(&Reply::new(307, &[("location", &place)], ""))
                    .await;
            }
            _ => {}
        }
        if let Some(Reply(bytes)) = self.shared.gate(&self.head, proxy) {
            let count = match disturbance {
                Some(Disturbance::CutRequest(_)) => 0,
                Some(Disturbance::CutAnswer(count)) => usize::try_from(count).unwrap_or_default(),
                Some(Disturbance::HalfAnswer) => bytes.len() / 2,
                _ => return self.reply(&Reply(bytes)).await,
            };
            self.reply(&Reply(bytes.slice(..count.min(bytes.len()))))
                .await?;
            return Ok(false);
        }
        match disturbance {
            Some(Disturbance::CutRequest(count)) => {
                self.pass_request(Some(count)).await?;
                Ok(false)
            }
            Some(Disturbance::StallRequest(count)) => {
                self.pass_request(Some(count)).await?;
                // As long as there is a proxy: whether the client has left shows only who reads.
                std::future::pending().await
            }
            Some(Disturbance::Lost) => {
                let target = self.head.second();
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let digest = query.split('&').find_map(|it| it.strip_prefix("digest="));
                let digest = digest.unwrap_or_default().replace("%3A", ":");
                let place = path
                    .split_once("/uploads/")
                    .map_or(path, |(place, _)| place);
                let location = format!("{place}/{digest}");
                let headers = [("location", &*location), ("docker-content-digest", &digest)];
                self.reply(&Reply::new(201, &headers, "")).await
            }
            Some(Disturbance::AskedTwice) => {
                let body = self.whole_body().await?;
                self.send_whole(&body).await?;
                let answer = self.registry.incoming.head().await?;
                let mut framing = answer.map_or(Framing::Length(0), |answer| {
                    answer.answer_body(self.head.method())
                });
                while self.registry.incoming.piece(&mut framing).await?.is_some() {}
                self.send_whole(&body).await?;
                self.pass_answer(None).await
            }
            Some(Disturbance::Late) => {
                let body = self.whole_body().await?;
                self.shared.wait_for_another(&self.name()).await;
                self.send_whole(&body).await?;
                self.pass_answer(None).await
            }
            other => {
                let answer = self.pass_request(None).await?;
                Ok(self.pass_answer(other.as_ref()).await? && answer)
            }
        }
    }

    fn name(&self) -> String {
        format!("{} {}", self.head.method(), self.head.second())
    }

    /// Takes the request, and answers it without asking the registry.
    async fn reply(&mut self, reply: &Reply) -> io::Result<bool> {
        while self.client.incoming.piece(&mut self.body).await?.is_some() {}
        self.client.outgoing.write(&reply.0).await?;
        self.shared.answered(self.name());
        Ok(true)
    }

    async fn whole_body(&mut self) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.client.incoming.piece(&mut self.body).await? {
            body.extend_from_slice(&piece.bytes);
        }
        Ok(body.freeze())
    }

    async fn send_whole(&mut self, body: &[u8]) -> io::Result<()> {
        self.registry.outgoing.write(&self.head.to_bytes()).await?;
        self.registry.outgoing.write(body).await
    }

    /// Passes the request on, or so many bytes of its body. Returns whether all has passed; a
    /// registry may answer before it has everything.
    async fn pass_request(&mut self, limit: Option<u64>) -> io::Result<bool> {
        self.registry.outgoing.write(&self.head.to_bytes()).await?;
        let mut left = limit.unwrap_or(u64::MAX);
        loop {
            let piece = tokio::select! {
                biased;
                piece = self.client.incoming.piece(&mut self.body) => piece?,
                ready = self.registry.incoming.ready() => {
                    ready?;
                    return Ok(false);
                }
            };
            let Some(piece) = piece else {
                return Ok(true);
            };
            let size = piece.bytes.len() as u64;
            let passed =
                usize::try_from(left).map_or(piece.bytes.len(), |left| left.min(piece.bytes.len()));
            self.registry.outgoing.write(&piece.bytes[..passed]).await?;
            self.shared.lock().passed.sent += passed as u64;
            left = left.saturating_sub(size);
            if left == 0 {
                return Ok(false);
            }
        }
    }

    /// Passes the answer back, disturbed. Returns whether the connection can be used again.
    async fn pass_answer(&mut self, disturbance: Option<&Disturbance>) -> io::Result<bool> {
        let Some(mut head) = self.registry.incoming.head().await? else {
            return Ok(false);
        };
        let mut framing = head.answer_body(self.head.method());
        let mut is_short = false;
        if let Some(Disturbance::OtherLength(by)) = disturbance
            && let Some(Ok(length)) = head.header("content-length").map(str::parse::<u64>)
        {
            head.set(
                "content-length",
                length.saturating_add_signed(*by).to_string(),
            );
            is_short = *by > 0;
        }
        if let Some(Disturbance::OtherHeader(name, value)) = disturbance {
            head.set(name, value.clone());
        }
        let bytes = head.to_bytes();
        let limit = match disturbance {
            Some(Disturbance::CutAnswer(count) | Disturbance::Stall(count)) => Some(*count),
            Some(Disturbance::HalfAnswer) => Some(match framing {
                Framing::Length(size) => u64::midpoint(bytes.len() as u64, size),
                Framing::Chunked(_) | Framing::UntilClose => bytes.len() as u64,
            }),
            _ => None,
        };
        let mut answer = Answer {
            left: limit.unwrap_or(u64::MAX),
            copy: matches!(disturbance, Some(Disturbance::AnsweredTwice)).then(BytesMut::new),
        };
        let mut is_changed = !matches!(disturbance, Some(Disturbance::OtherBytes));
        let mut is_whole = answer.write(&mut self.client.outgoing, &bytes).await?;
        while is_whole && let Some(piece) = self.registry.incoming.piece(&mut framing).await? {
            let mut bytes = BytesMut::from(piece.bytes);
            if piece.data && !is_changed {
                bytes[0] ^= 1;
                is_changed = true;
            }
            self.shared.lock().passed.received += bytes.len() as u64;
            is_whole = answer.write(&mut self.client.outgoing, &bytes).await?;
        }
        if !is_whole && matches!(disturbance, Some(Disturbance::Stall(_))) {
            // Until the client has had enough.
            self.client.incoming.ready().await?;
        }
        if let Some(copy) = answer.copy {
            self.client.outgoing.write(&copy).await?;
        }
        self.shared.answered(self.name());
        let ends = matches!(framing, Framing::UntilClose);
        Ok(is_whole && !is_short && !ends)
    }
}

/// One of the two connections that belong together.
struct End {
    incoming: Incoming,
    outgoing: Paced,
}

impl End {
    fn new(connection: TcpStream, line: &Line) -> io::Result<Self> {
        connection.set_nodelay(true)?;
        let (read, write) = connection.into_split();
        Ok(Self {
            incoming: Incoming::new(read),
            outgoing: Paced {
                connection: write,
                bytes_per_second: line.bytes_per_second,
                free: Instant::now(),
            },
        })
    }
}

/// The writing half of a connection, no quicker than its line.
struct Paced {
    connection: OwnedWriteHalf,
    bytes_per_second: Option<u64>,
    /// When the line has passed on what was written.
    free: Instant,
}

impl Paced {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(rate) = self.bytes_per_second {
            sleep_until(self.free).await;
            let nanoseconds = bytes.len() as u64 * 1_000_000_000 / rate.max(1);
            self.free = self.free.max(Instant::now()) + Duration::from_nanos(nanoseconds);
        }
        self.connection.write_all(bytes).await
    }
}

/// An answer of the proxy itself.
#[derive(Debug)]
pub(super) struct Reply(Bytes);

impl Reply {
    pub(super) fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let head = Head {
            start: format!("HTTP/1.1 {status} -"),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .chain([("content-length".to_owned(), body.len().to_string())])
                .collect(),
        };
        let mut bytes = BytesMut::from(head.to_bytes());
        bytes.extend_from_slice(body.as_bytes());
        Self(bytes.freeze())
    }
}

/// How much of an answer may pass, and what has passed if it is to come again.
struct Answer {
    left: u64,
    copy: Option<BytesMut>,
}

impl Answer {
    /// Returns whether more may pass.
    async fn write(&mut self, client: &mut Paced, bytes: &[u8]) -> io::Result<bool> {
        let passed = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        client.write(&bytes[..passed]).await?;
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(bytes);
        }
        self.left -= passed as u64;
        Ok(self.left > 0)
    }
}
