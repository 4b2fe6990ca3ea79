//! Inputs `docker` and `dockermulti`: images of a Docker daemon, or of what `docker save` has
//! written.

mod archive;
mod daemon;
mod input;
mod multi;

pub use self::archive::DockerImage;
pub use self::daemon::DockerDaemon;
pub use self::input::DockerInput;
pub use self::multi::DockerMultiInput;
