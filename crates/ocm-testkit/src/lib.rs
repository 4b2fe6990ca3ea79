//! Fixtures for tests: the command line in an empty world; registries, web servers and lines that
//! fail.
//!
//! - [`Cli`]: runs a program in a directory of its own, with an empty environment, also without
//!   space for its files; [`Run`] is what came of it, as text in which nothing differs between two
//!   runs.
//! - [`Registry`]: the embedded registry on a free port of this machine, which counts requests,
//!   asks for a password, or answers as a [`Fault`] says.
//! - [`FaultProxy`]: stands between a client and a registry, and disturbs what passes, byte by byte,
//!   at any [`Step`] of the protocol; also as a program of that name, for benchmarks.
//! - [`timestamps::TimestampAuthority`]: makes timestamps, right and wrong ones.
//! - [`Cluster`]: a real Kubernetes API server; [`helm`] is the program for charts.
//! - [`GitServer`]: the server that comes with git, for repositories that [`git`] has made.
//! - [`web`]: servers of packages, archives and objects, which fail in the same ways.
//!
//! A fixture that cannot be set up has failed the test: everything here panics instead of
//! returning errors.

mod cli;
mod cluster;
mod filter;
mod git;
mod proxy;
mod registry;
mod served;

pub mod timestamps;
pub mod web;

pub use cli::{Cli, Run, Started};
pub use cluster::{Cluster, eventually, helm};
pub use git::{GitServer, git};
pub use proxy::{Disturbance, FaultProxy, Line, Passed, Step};
pub use registry::Registry;
pub use served::{Fault, Served};
