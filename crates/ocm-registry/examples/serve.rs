//! Serves an empty registry in memory: `cargo run --example serve -- 127.0.0.1:5000`.

use std::sync::Arc;

use ocm_oci::MemoryStore;
use ocm_registry::{Registry, RegistryOptions, Server};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(std::io::stderr)
        .init();
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:5000".to_owned());

    let registry = Registry::new(Arc::new(MemoryStore::new()), RegistryOptions::default());
    let server = Server::bind(address).await?;
    tracing::info!(address = %server.address(), "serving");
    let interrupted = async {
        // Without a signal handler the default one ends the process, which is as well.
        let _ = tokio::signal::ctrl_c().await;
    };
    server.serve(registry.router(), interrupted).await;
    Ok(())
}
