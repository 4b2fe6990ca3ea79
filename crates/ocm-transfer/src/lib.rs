//! Planning and executing transfers of component versions.
