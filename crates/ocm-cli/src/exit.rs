//! Exit codes. They are part of the interface: a number keeps its meaning.

/// Everything that was asked for is done.
pub const DONE: u8 = 0;
/// Something failed that no other code names.
pub const FAILED: u8 = 1;
/// The command line, a constructor or a configuration file is wrong.
pub const USAGE: u8 = 2;
/// What was named does not exist.
pub const NOT_FOUND: u8 = 3;
/// A signature, a digest or content is not what was promised.
pub const VERIFICATION_FAILED: u8 = 4;
/// The other side wants credentials, or better ones.
pub const NOT_ALLOWED: u8 = 5;
/// The target has something else under that name, or cannot be changed.
pub const CONFLICT: u8 = 6;
/// The other side or the network failed; trying again may help.
pub const REMOTE: u8 = 7;
/// The user stopped the command.
pub const INTERRUPTED: u8 = 130;
