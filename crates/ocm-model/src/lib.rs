//! The Open Component Model as data: descriptors, names, versions, identities, access, normalisation.
