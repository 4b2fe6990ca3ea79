//! Extended headers: those of PAX, and what they change in the entry that follows.

use super::malformed;
use crate::error::Error;

/// What extended headers say about the entry that follows them.
#[derive(Debug, Default)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

impl Extension {
    /// Takes over what a header of PAX says.
    pub(super) fn read_pax(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for record in records(bytes) {
            let (key, value) = record?;
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok();
                    let size = size.and_then(|text| text.parse().ok());
                    self.size =
                        Some(size.ok_or_else(|| malformed("an extended header has no size"))?);
                }
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(malformed("an extended header makes a sparse file"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A global header may comment, but not change the entries.
pub(super) fn refuse_global(bytes: &[u8]) -> Result<(), Error> {
    for record in records(bytes) {
        let (key, _) = record?;
        if matches!(key, b"path" | b"size" | b"linkpath") || key.starts_with(b"GNU.sparse.") {
            return Err(malformed("a global header changes the entries"));
        }
    }
    Ok(())
}

type Record<'a> = (&'a [u8], &'a [u8]);

/// Splits PAX records: `<length> <key>=<value>\n`, the length counting all of it.
fn records(mut rest: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Error>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = split_record(rest);
        rest = record.map_or(&[], |(_, rest)| rest);
        let record = record.map(|(record, _)| record);
        Some(record.ok_or_else(|| malformed("an extended header has a broken record")))
    })
}

fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let blank = bytes.iter().position(|&byte| byte == b' ')?;
    let len: usize = std::str::from_utf8(&bytes[..blank]).ok()?.parse().ok()?;
    let record = bytes.get(blank + 1..len)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some(((&record[..equals], &record[equals + 1..]), &bytes[len..]))
}
