//! The command line, run as its users run it: whole outputs and exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod alone;
mod archives;
mod certificates;
mod checking;
mod comparing;
mod component_archives;
mod conformance;
mod connections;
mod constructors;
mod continued;
mod deltas;
mod descriptors;
mod elsewhere;
mod examples;
mod faults;
mod git;
mod guide;
mod hashing;
mod helm;
mod hostile;
mod inputs;
mod interrupted;
mod keys;
mod memory;
mod openpgp;
mod plans;
mod platforms;
mod policies;
mod raw;
mod registries;
mod restarting;
mod serving;
mod showing;
mod signing;
mod sigstore;
mod sources;
mod space;
mod storage;
mod streams;
mod tour;
mod trees;
mod usage;
mod verified;
mod world;
