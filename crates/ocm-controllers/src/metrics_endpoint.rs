//! Where Prometheus reads the metrics, by the flags of controller-runtime.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::{ArgAction, Args};
use ocm::registry::{Server, ServerOptions, Tls};
use ocm_kube::metrics::Metrics;
use ocm_kube::serve;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_util::sync::CancellationToken;

use crate::listen_address;

/// Where metrics are served, and how.
#[derive(Args, Debug)]
pub(crate) struct MetricsFlags {
    /// Where metrics are served, such as `:8080`; `0` is nowhere.
    #[arg(long, value_name = "ADDRESS", default_value = "0")]
    metrics_bind_address: String,
    /// Serve metrics over TLS, with a certificate that is made at the start unless there is one.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true")]
    metrics_secure: bool,
    /// The directory with the certificate of the metrics and its key; both may be replaced.
    #[arg(long, value_name = "DIRECTORY")]
    metrics_cert_path: Option<PathBuf>,
    /// The file with the certificate.
    #[arg(long, value_name = "FILE", default_value = "tls.crt")]
    metrics_cert_name: String,
    /// The file with its key.
    #[arg(long, value_name = "FILE", default_value = "tls.key")]
    metrics_cert_key: String,
    /// Offer HTTP/2 for metrics beside HTTP/1.1.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true")]
    enable_http2: bool,
}

impl MetricsFlags {
    /// Refuses what cannot be meant.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.metrics_secure || self.metrics_cert_path.is_none(),
            "--metrics-cert-path needs --metrics-secure"
        );
        Ok(())
    }

    /// Serves until it is stopped.
    pub(crate) async fn serve(&self, metrics: Metrics, stop: &CancellationToken) -> Result<()> {
        let Some(address) = listen_address(&self.metrics_bind_address)? else {
            stop.cancelled().await;
            return Ok(());
        };
        let mut server = Server::bind(address).await?.with_options(ServerOptions {
            http2: self.enable_http2,
            ..ServerOptions::default()
        });
        if self.metrics_secure {
            server = server.with_tls(self.certificate().await?);
        }
        let stopped = stop.cancelled();
        server.serve(serve::metrics(metrics), stopped).await;
        Ok(())
    }

    async fn certificate(&self) -> Result<Tls> {
        if let Some(directory) = &self.metrics_cert_path {
            let file = |name: &str| directory.join(name);
            let (certificate, key) = (&self.metrics_cert_name, &self.metrics_cert_key);
            return Ok(Tls::open(file(certificate), file(key)).await?);
        }
        let made = generate_simple_self_signed(["localhost".to_owned()]);
        let CertifiedKey { cert, signing_key } =
            made.context("cannot make a certificate for the metrics")?;
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        Ok(Tls::from_pem(certificate.into_bytes(), key.into_bytes()).await?)
    }
}
