//! Archives that leave out what the other side has.

use std::sync::Arc;

use ocm::model::RepositorySpec;
use ocm::oci::CopyOptions;
use ocm::repository::RepositoryRef;
use ocm::transfer::delta::{Base, DeltaWriter, Preview};
use ocm::{DeltaOptions, Use};

use super::{Planned, Shape};
use crate::commands::Session;
use crate::error::{hinted, usage};
use crate::output::{bytes, count};

/// A delta archive on its way.
pub(super) struct Delta {
    base: Base,
    writer: Arc<DeltaWriter>,
}

/// Opens the target, as a delta archive if `--since` says so. A dry run writes nothing.
pub(super) async fn open_target(
    spec: &RepositorySpec,
    shape: &Shape,
    session: &Session,
) -> anyhow::Result<(RepositoryRef, Option<Delta>)> {
    let ocm = &session.ocm;
    let part_size = shape.split_size.map(|size| size.0);
    if shape.since.is_empty() {
        let in_parts = part_size.and_then(|_| ocm.in_parts(spec));
        let standing = in_parts.as_ref().unwrap_or(spec);
        if ocm.delta_record(standing).await?.is_some() {
            return Err(usage(format!(
                "{spec} is a delta archive, which grows with --since only"
            )));
        }
        let repository = match part_size {
            Some(size) => ocm.parts_target(spec, size).await?,
            None => ocm.open(spec, Use::Write).await?,
        };
        return Ok((repository, None));
    }
    let mut base = Base::default();
    let copy = CopyOptions::new(shape.concurrency_limit);
    for text in &shape.since {
        base.add(ocm.base(text, shape.chunk_deltas, &copy).await?);
    }
    let options = DeltaOptions {
        part_size,
        chunks: shape.chunk_deltas,
    };
    let opened = ocm.delta_target(spec, base.clone(), &options).await;
    let (repository, writer) = opened.map_err(|error| match error {
        ocm::Error::NoDelta { .. } => hinted(
            error,
            "name an archive that is not there yet: --since makes a delta archive of it",
        ),
        error => error.into(),
    })?;
    Ok((repository, Some(Delta { base, writer })))
}

/// Says what a transfer would leave out.
pub(super) async fn preview(
    planned: &Planned,
    shape: &Shape,
    session: &Session,
) -> anyhow::Result<()> {
    let Some(delta) = &planned.delta else {
        return Ok(());
    };
    let copy = CopyOptions::new(shape.concurrency_limit);
    let left_out = planned
        .transfer
        .left_out_by(&delta.base, shape.chunk_deltas, &copy);
    let Preview { whole, in_part } = left_out.await?;
    session.ui.note(&format!(
        "would leave out up to {}, which {} has",
        described(whole.into_values(), in_part.into_values()),
        delta.base.name(),
    ));
    Ok(())
}

/// Says what a transfer has left out.
pub(super) fn note(planned: &Planned, session: &Session) {
    let Some(delta) = &planned.delta else {
        return;
    };
    let record = delta.writer.record();
    let base: Vec<&str> = record.base.iter().map(String::as_str).collect();
    let whole = record.left_out.values().map(|left| left.size);
    let parts = record.reassembled.values();
    let parts = parts.map(|whole| whole.size.saturating_sub(whole.new_bytes));
    session.ui.note(&format!(
        "{} leaves out {}, which {} has",
        planned.target,
        described(whole, parts),
        base.join(", "),
    ));
}

/// Says what is left out, by the sizes of blobs, and of parts of blobs.
fn described(
    whole: impl ExactSizeIterator<Item = u64>,
    in_part: impl ExactSizeIterator<Item = u64>,
) -> String {
    let blobs = |number: usize| count(number as u64, "blob");
    let (number, parts) = (whole.len(), in_part.len());
    let whole = bytes(whole.fold(0, u64::saturating_add));
    let in_part = bytes(in_part.fold(0, u64::saturating_add));
    let whole = format!("{} ({whole})", blobs(number));
    let in_part = format!("{} in part ({in_part})", blobs(parts));
    match (number, parts) {
        (_, 0) => whole,
        (0, _) => in_part,
        _ => format!("{whole} and {in_part}"),
    }
}
