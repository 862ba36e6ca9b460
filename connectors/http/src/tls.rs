//! The keys of TLS, which both connectors have: Kafka's for PEM (KIP-651) behind Confluent's `https.`, and what they come to. Stores
//! of Java's are not read: the errors say how to make PEM of them. No error shows what a file or a key holds.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use forebay_connect_api::{
    Access, Error as ConnectError,
    config::{ConfigDef, Configuration, Error, Password, Setting},
};
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::{
    InconsistentKeys, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

/// The longest file: the roots of a whole system are a fifth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

const TRUST_LOCATION: &str = "https.ssl.truststore.location";
const TRUST_CERTIFICATES: &str = "https.ssl.truststore.certificates";
const TRUST_PASSWORD: &str = "https.ssl.truststore.password";
const TRUST_TYPE: &str = "https.ssl.truststore.type";
const KEY_LOCATION: &str = "https.ssl.keystore.location";
const KEY_CHAIN: &str = "https.ssl.keystore.certificate.chain";
const KEY_KEY: &str = "https.ssl.keystore.key";
const KEY_STORE_PASSWORD: &str = "https.ssl.keystore.password";
const KEY_TYPE: &str = "https.ssl.keystore.type";
const KEY_PASSWORD: &str = "https.ssl.key.password";

/// How to make PEM of what Java has.
const TO_PEM: &str = "of a JKS or PKCS12 file make a PEM file: certificates with keytool -exportcert -rfc -keystore FILE -alias NAME or \
                      openssl pkcs12 -in FILE -nokeys, a private key with openssl pkcs12 -in FILE -nocerts -nodes";
/// How to take the password off a key.
const TO_PLAIN: &str = "an encrypted private key is not read: write it without a password with openssl pkcs8 -in KEY -out PLAIN, into a \
                        file that only the worker may read";

/// How servers are known, and how they know us.
#[derive(Configuration)]
#[config(group = "TLS")]
pub(crate) struct Tls {
    /// What the trust store is. Only PEM is taken (KIP-651); its default in Kafka is JKS.
    #[config(
        name = "https.ssl.truststore.type",
        alias = "ssl.truststore.type",
        default = "PEM",
        guards
    )]
    trust_type: StoreType,
    /// A PEM file with the certificates of the authorities that servers are trusted by. With it, or with
    /// https.ssl.truststore.certificates, those of the system do not count. It holds for oauth2.token.url, too.
    #[config(
        name = "https.ssl.truststore.location",
        alias = "ssl.truststore.location",
        guards
    )]
    trust_location: Option<String>,
    /// The same certificates in PEM, here instead of in a file.
    #[config(
        name = "https.ssl.truststore.certificates",
        alias = "ssl.truststore.certificates",
        guards
    )]
    trust_certificates: Option<Password>,
    /// Has to be left out: PEM has no password.
    #[config(
        name = "https.ssl.truststore.password",
        alias = "ssl.truststore.password",
        guards
    )]
    trust_password: Option<Password>,
    /// What the key store is. Only PEM is taken.
    #[config(
        name = "https.ssl.keystore.type",
        alias = "ssl.keystore.type",
        default = "PEM",
        guards
    )]
    key_type: StoreType,
    /// A PEM file with the private key and the certificates that we show to servers that ask for one, ours first.
    #[config(name = "https.ssl.keystore.location", alias = "ssl.keystore.location", guards)]
    key_location: Option<String>,
    /// These certificates in PEM, here instead of in a file; https.ssl.keystore.key goes with it.
    #[config(
        name = "https.ssl.keystore.certificate.chain",
        alias = "ssl.keystore.certificate.chain",
        guards
    )]
    key_chain: Option<Password>,
    /// The private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted), here instead of in a file.
    #[config(name = "https.ssl.keystore.key", alias = "ssl.keystore.key", guards)]
    key_key: Option<Password>,
    /// Has to be left out: PEM has no password.
    #[config(name = "https.ssl.keystore.password", alias = "ssl.keystore.password", guards)]
    key_store_password: Option<Password>,
    /// Has to be left out: encrypted private keys are not read.
    #[config(name = "https.ssl.key.password", alias = "ssl.key.password", guards)]
    key_password: Option<Password>,
    /// https: a server's certificate has to name the host of the URL. Empty: it need not, so whoever has any certificate of a trusted
    /// authority can take the server's place.
    #[config(
        name = "https.ssl.endpoint.identification.algorithm",
        alias = "ssl.endpoint.identification.algorithm",
        default = "https",
        validator = Validator::one_of_ignoring_case(["https", ""]),
        guards
    )]
    identification: String,
    /// Whether any certificate is taken, which protects from nobody who is between us and the server. For tests.
    #[config(name = "http.ssl.trust.all.certs", default = false, guards)]
    trust_all: bool,
}

/// Kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Setting)]
#[config(ignore_case)]
enum StoreType {
    /// KIP-651.
    #[config(name = "PEM")]
    Pem,
    /// Java's own.
    #[config(name = "JKS")]
    Jks,
    /// RFC 7292.
    #[config(name = "PKCS12")]
    Pkcs12,
}

/// Where PEM is.
#[derive(Clone)]
enum Pem {
    /// In the configuration, under that key.
    Text(&'static str, Password),
    /// In a file, that key says where.
    File(&'static str, PathBuf),
}

/// What the keys come to.
#[derive(Clone, Default)]
pub(crate) struct Trust {
    /// `None`: the system's.
    roots: Option<Pem>,
    /// The private key, and the certificates, where these are elsewhere.
    identity: Option<(Pem, Option<Pem>)>,
    any_name: bool,
    anybody: bool,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

/// The keys, and what Confluent's others of them come to.
pub(crate) fn definition() -> ConfigDef {
    const VERSIONS: &str = "TLS 1.3 and 1.2 are spoken, with what both sides know best";
    const SCHEME: &str = "the URL says whether there is TLS";
    const IN_PEM: &str = "give certificates in PEM, by https.ssl.truststore.certificates, https.ssl.keystore.certificate.chain and \
                          https.ssl.keystore.key";
    let others = [
        ("ssl.enabled", SCHEME),
        ("https.ssl.enabled", SCHEME),
        ("https.ssl.protocol", VERSIONS),
        ("https.ssl.enabled.protocols", VERSIONS),
        ("https.ssl.cipher.suites", VERSIONS),
        ("https.ssl.provider", VERSIONS),
        ("https.ssl.keymanager.algorithm", VERSIONS),
        ("https.ssl.trustmanager.algorithm", VERSIONS),
        ("https.ssl.secure.random.implementation", VERSIONS),
        ("https.ssl.truststorefile", IN_PEM),
        ("https.ssl.keystorefile", IN_PEM),
        (
            "https.host.verifier.enabled",
            "names of certificates are checked unless https.ssl.endpoint.identification.algorithm is empty",
        ),
    ];
    others
        .into_iter()
        .fold(Tls::definition(), |definition, (key, instead)| {
            definition.meaningless(key, instead)
        })
}

impl Tls {
    /// What they come to, and what is wrong with them as far as that shows without a file.
    pub(crate) fn trust(self, errors: &mut Vec<Error>) -> Trust {
        let mut wrong = |key: &str, reason: &str| errors.push(Error::invalid(key, "[hidden]", reason));
        for (key, store) in [(TRUST_TYPE, self.trust_type), (KEY_TYPE, self.key_type)] {
            if store != StoreType::Pem {
                wrong(key, &format!("only PEM is taken; {TO_PEM}"));
            }
        }
        for (key, password) in [
            (TRUST_PASSWORD, &self.trust_password),
            (KEY_STORE_PASSWORD, &self.key_store_password),
        ] {
            if password.is_some() {
                wrong(
                    key,
                    &format!("PEM, the only type that is taken, has no password; {TO_PEM}"),
                );
            }
        }
        if self.key_password.is_some() {
            wrong(KEY_PASSWORD, TO_PLAIN);
        }
        let location = |text: Option<String>| text.filter(|text| !text.is_empty()).map(PathBuf::from);
        let (trust_location, key_location) = (location(self.trust_location), location(self.key_location));
        if trust_location.is_some() && self.trust_certificates.is_some() {
            wrong(
                TRUST_CERTIFICATES,
                &format!("{TRUST_LOCATION} says where they are already"),
            );
        }
        if key_location.is_some() {
            for (key, given) in [(KEY_CHAIN, &self.key_chain), (KEY_KEY, &self.key_key)] {
                if given.is_some() {
                    wrong(key, &format!("{KEY_LOCATION} says where it is already"));
                }
            }
        } else if self.key_chain.is_some() != self.key_key.is_some() {
            let key = if self.key_key.is_some() {
                KEY_CHAIN
            } else {
                KEY_KEY
            };
            wrong(key, "a private key and its certificates go together");
        }
        let inline = |key, text: Option<Password>| text.map(|text| Pem::Text(key, text));
        let trust = Trust {
            roots: trust_location
                .map(|path| Pem::File(TRUST_LOCATION, path))
                .or_else(|| inline(TRUST_CERTIFICATES, self.trust_certificates)),
            identity: match (key_location, self.key_key, self.key_chain) {
                (Some(path), ..) => Some((Pem::File(KEY_LOCATION, path), None)),
                (None, Some(key), Some(chain)) => {
                    Some((Pem::Text(KEY_KEY, key), Some(Pem::Text(KEY_CHAIN, chain))))
                }
                _ => None,
            },
            any_name: self.identification.is_empty(),
            anybody: self.trust_all,
        };
        trust.check(&mut wrong);
        trust
    }
}

impl Trust {
    /// What is wrong with what is in the configuration itself.
    fn check(&self, wrong: &mut dyn FnMut(&str, &str)) {
        if let Some(Pem::Text(key, text)) = &self.roots
            && let Err(reason) = roots(text.value().as_bytes())
        {
            wrong(key, &reason);
        }
        if let Some((Pem::Text(key, text), _)) = &self.identity
            && let Err(reason) = private_key(text.value().as_bytes())
        {
            wrong(key, &reason);
        }
        if let Some((_, Some(Pem::Text(key, text)))) = &self.identity
            && let Err(reason) = certificates(text.value().as_bytes())
        {
            wrong(key, &reason);
        }
    }

    /// Has a client go by it. Reads files, so it may block.
    ///
    /// # Errors
    /// If a file cannot be used, or may not be read; the key and the file are named.
    pub(crate) fn apply(
        &self,
        builder: ClientBuilder,
        https: bool,
        access: &Access,
    ) -> Result<ClientBuilder, ConnectError> {
        let mut builder = builder
            .tls_built_in_root_certs(https && self.roots.is_none())
            .danger_accept_invalid_hostnames(self.any_name)
            .danger_accept_invalid_certs(self.anybody);
        if self.anybody && https {
            tracing::warn!("http.ssl.trust.all.certs=true: anybody can take the server's place unseen");
        }
        if let Some(pem) = &self.roots {
            let found = roots(&pem.read(access)?).map_err(|reason| pem.unusable(&reason))?;
            for certificate in found {
                let certificate = Certificate::from_der(&certificate);
                let certificate = certificate.map_err(|error| pem.unusable(&error.to_string()))?;
                builder = builder.add_root_certificate(certificate);
            }
        }
        if let Some((key, chain)) = &self.identity {
            builder = builder.identity(identity(key, chain.as_ref(), access)?);
        }
        Ok(builder)
    }
}

impl Pem {
    fn read(&self, access: &Access) -> Result<Vec<u8>, ConnectError> {
        match self {
            Self::Text(_, text) => Ok(text.value().as_bytes().to_vec()),
            Self::File(key, path) => {
                access.check_path(path)?;
                read_file(path).map_err(|error| {
                    ConnectError::fatal(format!("{key}: {} cannot be read: {error}", path.display()))
                })
            }
        }
    }

    fn unusable(&self, reason: &str) -> ConnectError {
        match self {
            Self::Text(key, _) => ConnectError::fatal(format!("{key}: {reason}")),
            Self::File(key, path) => ConnectError::fatal(format!("{key}: {}: {reason}", path.display())),
        }
    }
}

/// Whatever is there is not waited for, as a pipe would be, and has an end.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "it is longer than {FILE_BYTES_MAX} bytes"
        )));
    }
    Ok(bytes)
}

/// Certificates that can be roots of trust.
fn roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = certificates(pem)?;
    let mut store = RootCertStore::empty();
    for (number, certificate) in (1..).zip(&found) {
        let added = store.add(certificate.clone());
        added.map_err(|error| format!("certificate {number} cannot be used: {error}"))?;
    }
    Ok(found)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| damaged(pem))?;
    match found.is_empty() {
        true => Err(without(pem, "certificate")),
        false => Ok(found),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let keys: Result<Vec<_>, _> = PrivateKeyDer::pem_slice_iter(pem).collect();
    let mut keys = keys.map_err(|_| damaged(pem))?;
    match keys.len() {
        1 => keys.pop().ok_or_else(|| without(pem, "private key")),
        0 if contains(pem, b"ENCRYPTED") => Err(TO_PLAIN.to_owned()),
        0 => Err(without(pem, "private key")),
        _ => Err("there is more than one private key".to_owned()),
    }
}

fn damaged(pem: &[u8]) -> String {
    store(pem).unwrap_or_else(|| "the PEM is damaged".to_owned())
}

fn without(pem: &[u8], what: &str) -> String {
    store(pem).unwrap_or_else(|| format!("there is no {what} in PEM (-----BEGIN …) in it"))
}

/// What Java's stores begin with.
fn store(bytes: &[u8]) -> Option<String> {
    let kind = match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] => "a JKS file",
        [0x30, 0x80 | 0x82, ..] => "a PKCS12 file or DER",
        _ => return None,
    };
    Some(format!("it is {kind}, not PEM; {TO_PEM}"))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The key and the certificates, in the one form that the HTTP library takes.
fn identity(key: &Pem, chain: Option<&Pem>, access: &Access) -> Result<Identity, ConnectError> {
    let bytes = key.read(access)?;
    let private = private_key(&bytes).map_err(|reason| key.unusable(&reason))?;
    let with_chain = chain.unwrap_or(key);
    let found = match chain {
        Some(chain) => certificates(&chain.read(access)?),
        None => certificates(&bytes),
    };
    let found = found.map_err(|reason| with_chain.unusable(&reason))?;
    let signing = ring::default_provider()
        .key_provider
        .load_private_key(private.clone_key());
    let signing =
        signing.map_err(|error| key.unusable(&format!("the private key cannot be used: {error}")))?;
    match CertifiedKey::new(found.clone(), signing).keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(key.unusable("the private key is not that of the certificate"));
        }
        Err(error @ rustls::Error::InvalidCertificate(_)) => {
            return Err(with_chain.unusable(&format!("the first certificate cannot be used: {error}")));
        }
        _ => {}
    }
    let label = match &private {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let mut pem = section(label, private.secret_der());
    for certificate in &found {
        pem.push_str(&section("CERTIFICATE", certificate));
    }
    Identity::from_pem(pem.as_bytes()).map_err(|error| key.unusable(&error.to_string()))
}

fn section(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
