//! The input `binary`: bytes that stand in the constructor file, in base64.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ocm_blob::MemoryBlob;
use ocm_repository::Content;

use super::{InputContext, InputError, InputMethod, InputResult};
use crate::compress::compressed;
use crate::constructor::InputSpec;

/// The input `binary`, with `data` in base64, and with `mediaType` and `compress`.
///
/// White space in the data, as in a YAML text of several lines, does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryInput;

#[async_trait]
impl InputMethod for BinaryInput {
    fn types(&self) -> &[&'static str] {
        &["binary", "Binary"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        _: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["data", "mediaType", "compress"])?;
        let compress = input.flag("compress")?;
        let mut blob = MemoryBlob::new(decode(input)?);
        match input.text("mediaType")?.filter(|text| !text.is_empty()) {
            Some(media_type) => blob = blob.with_media_type(media_type),
            None if !compress => blob = blob.with_media_type("application/octet-stream"),
            None => {}
        }
        Ok(Content::Blob(compressed(Arc::new(blob), compress)).into())
    }

    async fn size(&self, input: &InputSpec, _: &InputContext) -> Option<u64> {
        if input.flag("compress").ok()? {
            return None;
        }
        Some(decode(input).ok()?.len() as u64)
    }
}

fn decode(input: &InputSpec) -> Result<Vec<u8>, InputError> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let mut text = input.text("data")?.unwrap_or_default();
    text.retain(|character| !character.is_ascii_whitespace());
    GeneralPurpose::new(&STANDARD, lenient)
        .decode(text)
        .map_err(|error| {
            let error = error.to_string();
            let reason = format!("is not base64: {}", error.trim_end_matches('.'));
            InputError::unusable(input.place_of("data"), reason)
        })
}
