//! `http.config.ocm.software`: timeouts, retries and trust of HTTP clients.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::document::Error;
use crate::node::Node;

/// Settings of HTTP clients, for all hosts and for some.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HttpConfig {
    /// What holds for every host.
    pub settings: HttpSettings,
    /// What differs for a `host` or `host:port`.
    pub hosts: BTreeMap<String, HttpSettings>,
}

/// Settings of an HTTP client; none means that the client's default holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HttpSettings {
    /// Time for a whole request with its body; zero means no limit.
    pub timeout: Option<Duration>,
    /// Time to connect; zero means no limit.
    pub tcp_dial_timeout: Option<Duration>,
    /// Probes on an idle connection.
    pub tcp_keep_alive: Option<KeepAlive>,
    /// Time for the TLS handshake; zero means no limit.
    pub tls_handshake_timeout: Option<Duration>,
    /// Time from the end of a request to the header of its response; zero means no limit.
    pub response_header_timeout: Option<Duration>,
    /// Time that an idle connection is kept; zero means no limit.
    pub idle_conn_timeout: Option<Duration>,
    /// Whether any certificate of a server is believed.
    pub insecure_skip_verify: Option<bool>,
    /// Certificates trusted besides those of the system, as PEM.
    pub root_cas_pem: Option<String>,
    /// The path of a PEM file with such certificates.
    pub root_cas_pem_file: Option<String>,
    /// How failed requests are repeated.
    pub retry: RetrySettings,
}

/// How often a connection is probed while idle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeepAlive {
    /// Never.
    Off,
    /// After this time; zero means the default of the system.
    Every(Duration),
}

/// How failed requests are repeated; none means that the client's default holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RetrySettings {
    /// How often.
    pub max_retries: Option<Retries>,
    /// The shortest pause.
    pub min_wait: Option<Duration>,
    /// The longest pause.
    pub max_wait: Option<Duration>,
}

/// How often a request is repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retries {
    /// Not at all, written `-1`.
    Off,
    /// At most so often.
    UpTo(u32),
    /// Until it works, written `0`.
    Endless,
}

impl HttpConfig {
    pub(crate) const TYPE: &str = "http.config.ocm.software";

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        let mut hosts = BTreeMap::new();
        if let Some(field) = node.get("hosts") {
            for (host, value) in field.object()? {
                let settings = Node {
                    value,
                    place: field.place.field(host),
                    source: field.source,
                };
                if !value.is_null() {
                    settings.object()?;
                    hosts.insert(host.to_ascii_lowercase(), HttpSettings::read(&settings)?);
                }
            }
        }
        Ok(Self {
            settings: HttpSettings::read(node)?,
            hosts,
        })
    }

    /// Returns what holds for a host: `host:port` wins over `host`, both over the rest.
    pub fn for_host(&self, host: &str, port: Option<u16>) -> HttpSettings {
        let host = host.to_ascii_lowercase();
        let with_port = port.and_then(|port| self.hosts.get(&format!("{host}:{port}")));
        match with_port.or_else(|| self.hosts.get(&host)) {
            Some(own) => self.settings.clone().overridden_by(own.clone()),
            None => self.settings.clone(),
        }
    }

    /// Lets a stronger entry win field by field; its hosts replace those of the same name.
    pub(crate) fn overridden_by(self, stronger: Self) -> Self {
        let mut hosts = self.hosts;
        hosts.extend(stronger.hosts);
        Self {
            settings: self.settings.overridden_by(stronger.settings),
            hosts,
        }
    }
}

impl HttpSettings {
    fn read(node: &Node<'_>) -> Result<Self, Error> {
        Ok(Self {
            timeout: node.duration_field("timeout")?,
            tcp_dial_timeout: node.duration_field("tcpDialTimeout")?,
            tcp_keep_alive: keep_alive(node)?,
            tls_handshake_timeout: node.duration_field("tlsHandshakeTimeout")?,
            response_header_timeout: node.duration_field("responseHeaderTimeout")?,
            idle_conn_timeout: node.duration_field("idleConnTimeout")?,
            insecure_skip_verify: node.boolean_field("insecureSkipVerify")?,
            root_cas_pem: node.text_field("rootCAsPEM")?,
            root_cas_pem_file: node.text_field("rootCAsPEMFile")?,
            retry: match node.get("retry") {
                Some(retry) => RetrySettings::read(&retry)?,
                None => RetrySettings::default(),
            },
        })
    }

    fn overridden_by(self, stronger: Self) -> Self {
        // The two spellings of the certificates are one setting.
        let trusts = stronger.root_cas_pem.is_some() || stronger.root_cas_pem_file.is_some();
        let (pem, file) = if trusts {
            (stronger.root_cas_pem, stronger.root_cas_pem_file)
        } else {
            (self.root_cas_pem, self.root_cas_pem_file)
        };
        Self {
            timeout: stronger.timeout.or(self.timeout),
            tcp_dial_timeout: stronger.tcp_dial_timeout.or(self.tcp_dial_timeout),
            tcp_keep_alive: stronger.tcp_keep_alive.or(self.tcp_keep_alive),
            tls_handshake_timeout: stronger
                .tls_handshake_timeout
                .or(self.tls_handshake_timeout),
            response_header_timeout: stronger
                .response_header_timeout
                .or(self.response_header_timeout),
            idle_conn_timeout: stronger.idle_conn_timeout.or(self.idle_conn_timeout),
            insecure_skip_verify: stronger.insecure_skip_verify.or(self.insecure_skip_verify),
            root_cas_pem: pem,
            root_cas_pem_file: file,
            retry: RetrySettings {
                max_retries: stronger.retry.max_retries.or(self.retry.max_retries),
                min_wait: stronger.retry.min_wait.or(self.retry.min_wait),
                max_wait: stronger.retry.max_wait.or(self.retry.max_wait),
            },
        }
    }
}

impl RetrySettings {
    fn read(node: &Node<'_>) -> Result<Self, Error> {
        node.object()?;
        let settings = Self {
            max_retries: retries(node)?,
            min_wait: node.duration_field("minWait")?,
            max_wait: node.duration_field("maxWait")?,
        };
        match (settings.min_wait, settings.max_wait) {
            (Some(min), Some(max)) if min > max => {
                Err(node.invalid("`minWait` is longer than `maxWait`"))
            }
            _ => Ok(settings),
        }
    }
}

fn retries(node: &Node<'_>) -> Result<Option<Retries>, Error> {
    let Some(field) = node.get("maxRetries") else {
        return Ok(None);
    };
    match field.integer()? {
        -1 => Ok(Some(Retries::Off)),
        0 => Ok(Some(Retries::Endless)),
        count => u32::try_from(count)
            .map(|count| Some(Retries::UpTo(count)))
            .map_err(|_| field.invalid(format!("{count} is no number of retries"))),
    }
}

fn keep_alive(node: &Node<'_>) -> Result<Option<KeepAlive>, Error> {
    let Some(field) = node.get("tcpKeepAlive") else {
        return Ok(None);
    };
    let off = match field.value {
        Value::Number(number) => number.as_i64().is_some_and(i64::is_negative),
        Value::String(text) => text.starts_with('-'),
        _ => false,
    };
    if off {
        return Ok(Some(KeepAlive::Off));
    }
    Ok(Some(KeepAlive::Every(field.duration()?)))
}
