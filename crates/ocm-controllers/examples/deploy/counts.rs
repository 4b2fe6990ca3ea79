//! What the API server was asked.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::Client;

/// How often the API server was asked what, by verb and resource, such as `PATCH components/status`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(BTreeMap<String, u64>);

/// The verbs that may change something.
const WRITING: [&str; 6] = [
    "POST",
    "PUT",
    "PATCH",
    "APPLY",
    "DELETE",
    "DELETECOLLECTION",
];

impl Counts {
    /// What was asked so far.
    pub(crate) async fn now(client: &Client) -> Result<Self> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = client.request_text(request).await?;
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            let Some(line) = line.strip_prefix("apiserver_request_total{") else {
                continue;
            };
            let Some((labels, count)) = line.rsplit_once("} ") else {
                continue;
            };
            let label = |name: &str| {
                let value = labels.split(',').find_map(|it| it.strip_prefix(name));
                value.map_or("", |it| it.trim_matches(['=', '"']))
            };
            let (verb, resource) = (label("verb="), label("resource="));
            // Each process of the API server has one that it keeps alive.
            if resource == "leases" {
                continue;
            }
            let subresource = match label("subresource=") {
                "" => String::new(),
                some => format!("/{some}"),
            };
            let count = count.parse::<f64>()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a count"
            )]
            let count = count as u64;
            *counts
                .entry(format!("{verb} {resource}{subresource}"))
                .or_default() += count;
        }
        Ok(Self(counts))
    }

    /// What was asked since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let counts = self.0.iter().map(|(asked, count)| {
            let before = before.0.get(asked).copied().unwrap_or_default();
            (asked.clone(), count - before)
        });
        Self(counts.filter(|(_, count)| *count > 0).collect())
    }

    /// How many requests may have changed something.
    pub(crate) fn writes(&self) -> u64 {
        let writes = self.0.iter().filter(|(asked, _)| {
            let verb = asked.split(' ').next().unwrap_or_default();
            WRITING.contains(&verb)
        });
        writes.map(|(_, count)| count).sum()
    }

    /// How many requests were for this.
    pub(crate) fn of(&self, asked: &str) -> u64 {
        self.0.get(asked).copied().unwrap_or_default()
    }

    /// How often statuses were written.
    pub(crate) fn status_writes(&self) -> u64 {
        let kinds = ["repositories", "components", "resources", "deployers"];
        let each = kinds.map(|kind| self.of(&format!("PATCH {kind}/status")));
        each.into_iter().sum()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each: Vec<_> = self.0.iter().map(|(it, n)| format!("{n} {it}")).collect();
        f.write_str(&each.join(", "))
    }
}
