//! Verifies many RSA-4096 signatures of one descriptor, and prints how many seconds that takes,
//! and how many the bare operations on the key: what `cargo xtask bench` compares.
//!
//! `many_signatures [COUNT]` prints `{"verify": …, "bare": …}`.

use std::error::Error;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ocm_model::{Descriptor, NormalisationAlgorithm, Provider};
use ocm_signing::key::{PrivateKey, PublicKey};
use ocm_signing::keyed::{KeySigner, KeyVerifier};
use ocm_signing::rsa::RsaAlgorithm;
use ocm_signing::verify::Subject;
use ocm_signing::{Clock, SignOptions, sign};

/// The quickest of so many rounds counts.
const ROUNDS: usize = 5;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the figures are what is asked for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(1000), |it| it.parse())?;
    let key = PrivateKey::generate_rsa(4096)?;
    let public = key.public_key();
    let verifier = KeyVerifier::with_key(public.clone());
    let signer = KeySigner::new(key, RsaAlgorithm::Pss);
    let provider = Provider::new("acme.org");
    let mut descriptor = Descriptor::new("acme.org/notes".parse()?, "1.0.0".parse()?, &provider);
    let mut options = SignOptions::default();
    let first = sign(&descriptor, &options, &signer, None).await?;
    for number in 0..count {
        options.name = format!("signature-{number}");
        let mut signature = first.clone();
        signature.name.clone_from(&options.name);
        descriptor.add_signature(&signature)?;
    }
    let digest = descriptor
        .normalise(NormalisationAlgorithm::default())
        .digest(options.hash);
    let value = hex::decode(&first.signature.value)?;
    let PublicKey::Rsa(public) = &public else {
        return Err("the key is of another kind".into());
    };
    let bare = best(|| {
        for _ in 0..count {
            RsaAlgorithm::Pss.verify(&digest, &value, public)?;
        }
        Ok(())
    })?;
    let now = Timestamp::UNIX_EPOCH;
    let bytes = descriptor.write_json();
    let verified = best(|| {
        let descriptor = Descriptor::read_json(&bytes)?;
        let subject = Subject::new(&descriptor);
        for signature in subject.signatures() {
            subject.check(&signature.name, &verifier, Clock::at(now))?;
        }
        Ok(())
    })?;
    println!(
        "{{\"verify\": {}, \"bare\": {}}}",
        verified.as_secs_f64(),
        bare.as_secs_f64()
    );
    Ok(())
}

fn best(mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}
