//! The behaviour of `ocm-controllers`.

mod accepted;
mod definitions;
