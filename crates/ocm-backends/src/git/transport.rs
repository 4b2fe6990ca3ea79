//! HTTP for gitoxide: its blocking requests, made by the client of this crate.

use std::any::Any;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gix::error::{ErrorExt as _, message};
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse,
};
use ocm_blob::StreamReader;
use ocm_oci::{Error, Redirects};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::runtime::Handle;

use crate::body::body;
use crate::http::{HttpRequest, HttpSource, parse_url};

/// The type of the consumer of credentials.
const CONSUMER: &str = "Git";

/// The largest request, in bytes. It names the commits that are wanted and that are there.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// How long a server may be silent. It packs what is asked for before it says much.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why a request failed: gitoxide passes on less than is known.
pub(super) type Failure = Arc<Mutex<Option<Error>>>;

/// Makes requests from a thread that may block.
#[derive(Clone, Debug)]
pub(super) struct GitHttp {
    http: HttpSource,
    runtime: Handle,
    failure: Failure,
    redirected: Option<String>,
}

impl GitHttp {
    pub(super) fn new(http: HttpSource, runtime: Handle, failure: Failure) -> Self {
        Self {
            http,
            runtime,
            failure,
            redirected: None,
        }
    }

    fn send(&self, request: &HttpRequest) -> Result<Answer, Error> {
        let answer = self.runtime.block_on(self.http.send(request))?;
        let mut headers = Vec::new();
        for (name, value) in answer.headers() {
            headers.extend_from_slice(name.as_str().as_bytes());
            headers.extend_from_slice(b": ");
            headers.extend_from_slice(value.as_bytes());
            headers.push(b'\n');
        }
        let url = answer.url().to_string();
        let _context = self.runtime.enter();
        let body = body(answer, url.clone(), PATIENCE);
        Ok(Answer {
            headers: Cursor::new(headers),
            body: BufReader::new(StreamReader::new(body)),
            url,
        })
    }

    /// Keeps an error, and returns what gitoxide is told of it.
    fn failed(&self, error: Error) -> io::Error {
        let text = error.to_string();
        lock(&self.failure).get_or_insert(error);
        io::Error::other(text)
    }
}

impl Http for GitHttp {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = Outgoing;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::error::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let answer = request(Method::GET, url, headers).and_then(|request| self.send(&request));
        let answer = answer.map_err(|error| self.failed(error).and_raise(message("GET failed")))?;
        let tail = url.strip_prefix(base_url).unwrap_or_default();
        self.redirected = answer
            .url
            .strip_suffix(tail)
            .filter(|base| *base != base_url)
            .map(str::to_owned);
        let exchange = Exchange::answered(self.clone(), answer);
        Ok(GetResponse {
            headers: Headers::of(&exchange),
            body: Body::of(&exchange, self),
        })
    }

    fn post(
        &mut self,
        url: &str,
        _: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _: PostBodyDataKind,
    ) -> gix::error::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let request = request(Method::POST, url, headers);
        let request =
            request.map_err(|error| self.failed(error).and_raise(message("POST failed")))?;
        let exchange = Exchange::pending(self.clone(), request);
        Ok(PostResponse {
            post_body: Outgoing(Arc::clone(&exchange), Vec::new()),
            headers: Headers::of(&exchange),
            body: Body::of(&exchange, self),
        })
    }

    fn configure(&mut self, _: &dyn Any) -> gix::error::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}

fn request(
    method: Method,
    url: &str,
    headers: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<HttpRequest, Error> {
    let mut map = HeaderMap::new();
    for header in headers {
        let parts = header.as_ref().split_once(':');
        let header = parts.and_then(|(name, value)| {
            let name = HeaderName::try_from(name.trim()).ok()?;
            Some((name, HeaderValue::try_from(value.trim()).ok()?))
        });
        let (name, value) = header
            .ok_or_else(|| Error::malformed("header of a request", "HTTP does not allow it"))?;
        map.insert(name, value);
    }
    Ok(HttpRequest {
        method,
        headers: map,
        redirects: Redirects::Follow,
        ..HttpRequest::get(parse_url(url)?).by(CONSUMER)
    })
}

/// What a server has answered.
struct Answer {
    headers: Cursor<Vec<u8>>,
    body: BufReader<StreamReader>,
    /// Where the answer came from, after redirects.
    url: String,
}

/// A request and its answer. The request is sent when its answer is read, since only then is its
/// body whole.
struct Exchange {
    http: GitHttp,
    request: Option<HttpRequest>,
    headers: Option<Cursor<Vec<u8>>>,
    body: Option<BufReader<StreamReader>>,
}

type Shared = Arc<Mutex<Exchange>>;

impl Exchange {
    fn answered(http: GitHttp, answer: Answer) -> Shared {
        Arc::new(Mutex::new(Self {
            http,
            request: None,
            headers: Some(answer.headers),
            body: Some(answer.body),
        }))
    }

    fn pending(http: GitHttp, request: HttpRequest) -> Shared {
        Arc::new(Mutex::new(Self {
            http,
            request: Some(request),
            headers: None,
            body: None,
        }))
    }

    fn send(&mut self) -> io::Result<()> {
        if let Some(request) = self.request.take() {
            let answer = self.http.send(&request);
            let answer = answer.map_err(|error| self.http.failed(error))?;
            self.headers = Some(answer.headers);
            self.body = Some(answer.body);
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request. It is complete when it is dropped.
pub(super) struct Outgoing(Shared, Vec<u8>);

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.len() + bytes.len() > MAX_REQUEST {
            return Err(io::Error::other("the request is too large"));
        }
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(request) = &mut lock(&self.0).request {
            request.body = std::mem::take(&mut self.1).into();
        }
    }
}

/// The headers of an answer, a line each.
pub(super) struct Headers {
    exchange: Shared,
    lines: Option<Cursor<Vec<u8>>>,
}

impl Headers {
    fn of(exchange: &Shared) -> Self {
        Self {
            exchange: Arc::clone(exchange),
            lines: None,
        }
    }

    fn lines(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.lines.is_none() {
            let mut exchange = lock(&self.exchange);
            exchange.send()?;
            self.lines = exchange.headers.take();
        }
        Ok(self.lines.get_or_insert_default())
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buffer)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(count);
        }
    }
}

/// The body of an answer.
pub(super) struct Body {
    exchange: Shared,
    http: GitHttp,
    reader: Option<BufReader<StreamReader>>,
}

impl Body {
    fn of(exchange: &Shared, http: &GitHttp) -> Self {
        Self {
            exchange: Arc::clone(exchange),
            http: http.clone(),
            reader: None,
        }
    }

    fn reader(&mut self) -> io::Result<&mut BufReader<StreamReader>> {
        if self.reader.is_none() {
            let mut exchange = lock(&self.exchange);
            exchange.send()?;
            self.reader = exchange.body.take();
        }
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        self.reader.as_mut().ok_or_else(ended)
    }
}

/// Keeps the error of a body, such as that of a broken connection.
fn noted(http: &GitHttp, error: io::Error) -> io::Error {
    match StreamReader::cause(&error) {
        Some(cause) => http.failed(Error::blob("read", "the answer", cause.clone())),
        None => error,
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let http = self.http.clone();
        let read = self.reader()?.read(buffer);
        read.map_err(|error| noted(&http, error))
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let http = self.http.clone();
        let filled = self.reader()?.fill_buf();
        filled.map_err(|error| noted(&http, error))
    }

    fn consume(&mut self, count: usize) {
        if let Some(reader) = &mut self.reader {
            reader.consume(count);
        }
    }
}
