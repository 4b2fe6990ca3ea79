//! The bodies of HTTP answers, as streams.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_blob::{ByteStream, once};
use ocm_oci::Error;
use reqwest::Response;
use tokio::time::timeout;

/// Returns the body of an answer. Each part of it may take some time.
pub(crate) fn body(answer: Response, what: String, patience: Duration) -> ByteStream {
    let chunks = stream::try_unfold((answer, what), move |(mut answer, what)| async move {
        let chunk = match timeout(patience, answer.chunk()).await {
            Err(_) => Err(failed(&what, no_progress(patience), None)),
            Ok(chunk) => chunk
                .map_err(|error| failed(&what, "the connection failed".to_owned(), Some(error))),
        };
        let chunk = chunk.map_err(|error| ocm_blob::Error::source(what.clone(), error))?;
        Ok::<_, ocm_blob::Error>(chunk.map(|chunk| (chunk, (answer, what))))
    });
    chunks.map_ok(once).try_flatten().boxed()
}

/// Says that nothing has come for a while.
pub(crate) fn no_progress(patience: Duration) -> String {
    format!("no progress for {} s", patience.as_secs())
}

/// Says why there is no answer, or no more of it.
pub(crate) fn failed(what: &str, reason: String, error: Option<reqwest::Error>) -> Error {
    Error::Remote {
        what: what.to_owned(),
        reason,
        status: None,
        transient: true,
        source: error.map(|error| error.without_url().into()),
    }
}
