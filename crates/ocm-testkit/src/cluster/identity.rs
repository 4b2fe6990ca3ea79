//! Who is who in a cluster: certificates, keys and tokens.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

pub(super) const AUTHORITY: &str = "authority.pem";
pub(super) const SERVER: &str = "server.pem";
pub(super) const SERVER_KEY: &str = "server.key";
pub(super) const SERVICE_ACCOUNT_KEY: &str = "service-accounts.key";
pub(super) const SERVICE_ACCOUNT_PUBLIC: &str = "service-accounts.pub";
pub(super) const TOKENS: &str = "tokens.csv";

/// The token of one who may do everything.
pub(super) const ADMINISTRATOR: &str = "administrator-token";

/// Users without rights of their own, and their tokens.
pub(super) const USERS: &[(&str, &str)] = &[
    ("tenant", "tenant-token"),
    ("other", "other-token"),
    ("controller", "controller-token"),
];

/// Files that the API server reads.
pub(super) struct Identities;

impl Identities {
    pub(super) fn write(directory: &Path) {
        let write = |name: &str, content: String| {
            fs::write(directory.join(name), content).expect("a file that can be written");
        };
        let authority_key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = parameters
            .self_signed(&authority_key)
            .expect("a certificate");
        write(AUTHORITY, authority.pem());

        let issuer = Issuer::new(parameters, authority_key);
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        parameters.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");
        write(SERVER, certificate.pem());
        write(SERVER_KEY, key.serialize_pem());

        let key = KeyPair::generate().expect("a key");
        write(SERVICE_ACCOUNT_KEY, key.serialize_pem());
        write(SERVICE_ACCOUNT_PUBLIC, key.public_key_pem());

        let administrator = format!("{ADMINISTRATOR},administrator,administrator,system:masters\n");
        let users = USERS.iter();
        let users = users.map(|(user, token)| format!("{token},{user},{user}\n"));
        write(
            TOKENS,
            std::iter::once(administrator).chain(users).collect(),
        );
    }
}
