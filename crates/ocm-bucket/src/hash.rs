//! A hash that any replica goes on with.

use std::fmt;

use ocm_digest::{Digest, HashAlgorithm};
use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};
use sha2::{Digest as _, Sha256};

/// SHA-256 of what has passed, which can be stored and continued elsewhere.
#[derive(Clone, Default)]
pub(crate) struct Hash(Sha256);

impl Hash {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn digest(&self) -> Option<Digest> {
        let value = self.0.clone().finalize();
        Digest::new(HashAlgorithm::Sha256, &value).ok()
    }

    /// Writes the state. What has passed cannot be read from it, up to its last 64 bytes.
    pub(crate) fn to_text(&self) -> String {
        hex::encode(self.0.serialize())
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut state = SerializedState::<Sha256>::default();
        hex::decode_to_slice(text, &mut state).ok()?;
        Sha256::deserialize(&state).ok().map(Self)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_hash_goes_on_at_any_byte() {
        let content: Vec<u8> = (0..300_u32).map(|n| n.to_le_bytes()[0]).collect();
        for cut in 0..content.len() {
            let mut hash = Hash::default();
            hash.update(&content[..cut]);
            let mut hash = Hash::from_text(&hash.to_text()).unwrap();
            hash.update(&content[cut..]);
            assert_eq!(hash.digest(), Some(Digest::sha256(&content)));
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let good = Hash::default().to_text();
        for text in [
            "",
            "00",
            &good[2..],
            &good.replace('6', "g"),
            &"ff".repeat(good.len() / 2),
        ] {
            assert!(Hash::from_text(text).is_none(), "{text}");
        }
    }
}
