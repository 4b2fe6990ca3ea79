//! Helm charts: as input, as access, and as the OCI artifacts that `helm push` makes of them.
//!
//! ```text
//! manifest, tagged with the version of the chart
//!    ├─ config   application/vnd.cncf.helm.config.v1+json: Chart.yaml as JSON
//!    ├─ layer    application/vnd.cncf.helm.chart.content.v1.tar+gzip: the packaged chart
//!    └─ layer    application/vnd.cncf.helm.chart.provenance.v1.prov, if there is one
//! ```

mod access;
mod chart;
mod ignore;
mod input;
mod package;
mod repository;

pub use self::access::HelmAccess;
pub use self::chart::{Chart, ChartError, MAX_SIZE};
pub use self::input::HelmInput;
pub use self::repository::{ChartEntry, RepositoryIndex};
