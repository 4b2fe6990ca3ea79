//! Why a condition is what it is.

/// The reasons of all conditions. Their names are an interface: tools compare them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// All is as asked.
    Succeeded,
    /// The effective configuration could not be found, read or merged.
    GetConfigurationFailed,
    /// No version fits, or the one that fits may not be taken.
    CheckVersionFailed,
    /// The object that this one depends on is not ready.
    ResourceIsNotAvailable,
    /// A transfer failed.
    ReplicationFailed,
    /// A repository cannot be reached or its specification is not usable.
    GetRepositoryFailed,
    /// A component version cannot be read or verified.
    GetComponentVersionFailed,
    /// A resource of a component version cannot be found, read or verified.
    GetOcmResourceFailed,
    /// Something could not be written as JSON.
    MarshalFailed,
    /// Objects could not be applied or pruned.
    ApplyFailed,
    /// An object that this one refers to is missing or not ready.
    GetResourceFailed,
    /// A field of the status could not be computed.
    StatusSetFailed,
    /// The object cannot be removed yet.
    DeletionFailed,
    /// What was applied is not watched yet.
    ResourceNotSynced,
    /// A component version is being read.
    ResolutionInProgress,
    /// Component and resource state different versions, and the resource will follow.
    ComponentDriftResolutionInProgress,
    /// A transfer is under way.
    TransferInProgress,
    /// The transfer is done.
    TransferComplete,
    /// The specification asks for what is not offered.
    InvalidSpecification,
    /// What was applied is not ready itself yet.
    Progressing,
    /// What was applied cannot become ready.
    Degraded,
}

impl Reason {
    /// Returns the name in objects.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::GetConfigurationFailed => "GetConfigurationFailed",
            Self::CheckVersionFailed => "CheckVersionFailed",
            Self::ResourceIsNotAvailable => "ResourceIsNotAvailable",
            Self::ReplicationFailed => "ReplicationFailed",
            Self::GetRepositoryFailed => "GetRepositoryFailed",
            Self::GetComponentVersionFailed => "GetComponentVersionFailed",
            Self::GetOcmResourceFailed => "GetOCMResourceFailed",
            Self::MarshalFailed => "MarshalFailed",
            Self::ApplyFailed => "ApplyFailed",
            Self::GetResourceFailed => "GetResourceFailed",
            Self::StatusSetFailed => "StatusSetFailed",
            Self::DeletionFailed => "DeletionFailed",
            Self::ResourceNotSynced => "ResourceNotSynced",
            Self::ResolutionInProgress => "ResolutionInProgress",
            Self::ComponentDriftResolutionInProgress => "ComponentDriftResolutionInProgress",
            Self::TransferInProgress => "TransferInProgress",
            Self::TransferComplete => "TransferComplete",
            Self::InvalidSpecification => "InvalidSpecification",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
        }
    }
}
