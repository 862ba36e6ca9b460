//! What went wrong between us and a server in TLS, in words: the cause, and what to do about it.

use rustls::{AlertDescription, CertificateError, Error as Tls, pki_types::UnixTime};

use crate::moment::rfc_3339_text;

const OUR_ROOTS: &str = "https.ssl.truststore.location or https.ssl.truststore.certificates";

/// The cause and the cure.
pub(super) fn explain(error: &Tls) -> String {
    match error {
        Tls::InvalidCertificate(error) => certificate(error),
        Tls::NoCertificatesPresented => "the server shows no certificate".to_owned(),
        Tls::AlertReceived(alert) => refused(*alert),
        Tls::InvalidMessage(_) => "the server speaks no TLS on this port; is it an http one?".to_owned(),
        Tls::PeerIncompatible(_) => {
            format!("the server knows neither TLS 1.3 nor 1.2, or no cipher of ours ({error})")
        }
        other => format!("TLS failed: {other}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => format!(
            "the server's certificate is self-signed or of an authority that is not trusted here; if it is right, name the authority's \
             certificate by {OUR_ROOTS}"
        ),
        CertificateError::Expired => "the server's certificate has expired; it has to be renewed there".to_owned(),
        CertificateError::ExpiredContext { not_after, time } => format!(
            "the server's certificate expired on {}; it has to be renewed there (or this machine's clock is wrong: it says {})",
            date(*not_after),
            date(*time)
        ),
        CertificateError::NotValidYet => {
            "the server's certificate is not valid yet; is this machine's clock right?".to_owned()
        }
        CertificateError::NotValidYetContext { not_before, time } => format!(
            "the server's certificate is not valid before {}; is this machine's clock right? It says {}",
            date(*not_before),
            date(*time)
        ),
        CertificateError::NotValidForName => "the server's certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is not for {} but for {}; put a name that it is for into the URL, or have it made anew with this \
             one (subject alternative name)",
            expected.to_str(),
            presented.join(", ")
        ),
        CertificateError::Revoked => "the server's certificate is revoked; it has to be replaced there".to_owned(),
        CertificateError::BadSignature => format!(
            "the server's certificate is not signed by the authority that it names; is {OUR_ROOTS} of an older one?"
        ),
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server's certificate is an authority's (CA:TRUE, as openssl req -x509 makes them); it needs one with \
             basicConstraints=CA:FALSE"
                .to_owned()
        }
        other => format!("the server's certificate cannot be used: {other}"),
    }
}

/// What the server says of us.
fn refused(alert: AlertDescription) -> String {
    let ours =
        "https.ssl.keystore.location, or https.ssl.keystore.certificate.chain and https.ssl.keystore.key";
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            format!("the server wants a client certificate; give one by {ours}")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            format!("the server does not take our client certificate ({alert:?}); it is that of {ours}")
        }
        AlertDescription::ProtocolVersion => "the server knows neither TLS 1.3 nor 1.2".to_owned(),
        AlertDescription::UnrecognisedName => "the server does not know the name in the URL".to_owned(),
        AlertDescription::HandshakeFailure => format!(
            "the server refuses (HandshakeFailure): it wants a client certificate ({ours}), or knows no cipher of ours"
        ),
        other => format!("the server refuses TLS: {other:?}"),
    }
}

fn date(moment: UnixTime) -> String {
    let milliseconds = i64::try_from(moment.as_secs().saturating_mul(1000)).unwrap_or(i64::MAX);
    rfc_3339_text(milliseconds)
}
