//! Certificates of authorities that are trusted: those that are given, and those of the system.

use ocm_signing::key::Certificate;
use ocm_signing::x509::Roots;

use crate::error::Error;
use crate::trust::KeyMaterial;

/// Reads roots that a caller has handed in.
pub(crate) fn parse(given: &[KeyMaterial]) -> Result<Roots, Error> {
    let mut certificates = Vec::new();
    for material in given {
        let read = Certificate::parse_chain(material.bytes.expose());
        certificates.extend(read.map_err(|source| Error::Key {
            what: material.origin.clone(),
            source,
        })?);
    }
    Ok(Roots::new(certificates))
}

/// Returns the roots of the system, or where it has none, as in an image from scratch, those that
/// are compiled in.
///
/// What cannot be read vouches for nobody.
pub(crate) fn of_system() -> Roots {
    let found = rustls_native_certs::load_native_certs().certs;
    let read = |der: &[u8]| Certificate::from_der(der).ok();
    let certificates: Vec<_> = found.iter().filter_map(|der| read(der)).collect();
    if !certificates.is_empty() {
        return Roots::new(certificates);
    }
    let compiled_in = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    Roots::new(compiled_in.filter_map(|der| read(der)).collect())
}
