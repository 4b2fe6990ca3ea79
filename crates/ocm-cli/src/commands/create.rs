//! `ocm create keypair`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ocm::signing::key::{KeyFormat, PrivateKey};

use super::Session;
use crate::error::usage;

/// Make a pair of RSA keys
///
/// Files that exist are not overwritten. The private key is readable by its owner alone.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The file of the private key
    #[arg(default_value = "rsa.priv")]
    private: PathBuf,

    /// The file of the public key; by default the name of the private key, ending in `.pub`
    public: Option<PathBuf>,

    /// The length of the key in bits: 2048, 3072 or 4096
    #[arg(long, default_value_t = 4096)]
    bits: usize,
}

pub(crate) async fn run(args: &Args, session: &Session) -> anyhow::Result<()> {
    let private = session.ocm.path(&args.private);
    let public = match &args.public {
        Some(path) => session.ocm.path(path),
        None => private.with_extension("pub"),
    };
    if private == public {
        return Err(usage("private and public key cannot be in the same file"));
    }
    let bits = args.bits;
    let key = tokio::task::spawn_blocking(move || PrivateKey::generate(bits)).await??;
    let pem = key.to_pem(KeyFormat::Pkcs8)?;
    write_new(&private, pem.expose().as_bytes(), 0o600)?;
    let written = write_new(
        &public,
        key.public_key().to_pem(KeyFormat::Pkcs8).as_bytes(),
        0o644,
    );
    if written.is_err() {
        // A key whose counterpart is missing is of no use.
        std::fs::remove_file(&private).ok();
    }
    written?;
    session.ui.note(&format!(
        "created private key {} and public key {}",
        private.display(),
        public.display()
    ));
    Ok(())
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(content)
        .with_context(|| format!("cannot write {}", path.display()))
}
