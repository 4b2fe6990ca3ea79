//! Certificates for tests, good ones and bad ones.

use ocm_signing::key::{Certificate, PrivateKey};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A certificate and its key.
pub(crate) struct Holder {
    pub(crate) certificate: Certificate,
    parameters: CertificateParams,
    key: KeyPair,
}

impl Holder {
    /// Makes a root that is valid from 2020 to 2040.
    pub(crate) fn root(name: &str) -> Self {
        let parameters = authority(name);
        let key = KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key).unwrap();
        Self::new(made.der(), parameters, key)
    }

    /// Issues a certificate.
    pub(crate) fn issue(&self, parameters: CertificateParams) -> Self {
        self.issue_for(parameters, KeyPair::generate().unwrap())
    }

    /// Issues a certificate for a key.
    pub(crate) fn issue_for(&self, parameters: CertificateParams, key: KeyPair) -> Self {
        let issuer = Issuer::from_params(&self.parameters, &self.key);
        let made = parameters.signed_by(&key, &issuer).unwrap();
        Self::new(made.der(), parameters, key)
    }

    /// Returns the private key.
    pub(crate) fn private_key(&self) -> PrivateKey {
        PrivateKey::parse(self.key.serialized_der()).unwrap()
    }

    fn new(der: &[u8], parameters: CertificateParams, key: KeyPair) -> Self {
        Self {
            certificate: Certificate::from_der(der).unwrap(),
            parameters,
            key,
        }
    }
}

/// What an authority has in its certificate, from 2020 to 2040.
pub(crate) fn authority(name: &str) -> CertificateParams {
    let mut parameters = named(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2040, 1, 1);
    parameters
}

/// What a signer has in its certificate, from 2026 to 2027.
pub(crate) fn signer(name: &str) -> CertificateParams {
    let mut parameters = named(name);
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    parameters.not_before = date_time_ymd(2026, 1, 1);
    parameters.not_after = date_time_ymd(2027, 1, 1);
    parameters
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let subject = &mut parameters.distinguished_name;
    subject.push(DnType::OrganizationName, "acme.org");
    subject.push(DnType::CommonName, name);
    parameters
}
