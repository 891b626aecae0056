//! Which authorities vouch for the monitor.

use rustls::{RootCertStore, pki_types::CertificateDer};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// The authorities that the service has named; none: Mozilla's.
#[derive(Default)]
pub(super) struct Trust(Vec<Certificate<'static>>);

impl Trust {
    /// Adds all certificates of a text in PEM.
    pub(super) fn add(&mut self, pem: &[u8]) -> Result<(), String> {
        let before = self.0.len();
        for item in parse_pem(pem) {
            match item.map_err(|why| format!("the authority's certificate is no PEM: {why}"))? {
                PemItem::Certificate(certificate) => self.0.push(check(certificate)?),
                _ => return Err("the authority's PEM has something else than certificates".into()),
            }
        }
        if self.0.len() == before { Err("the authority's PEM has no certificate".into()) } else { Ok(()) }
    }

    pub(super) fn config(&self) -> TlsConfig {
        let roots = match &*self.0 {
            [] => RootCerts::WebPki,
            named => RootCerts::new_with_certs(named),
        };
        TlsConfig::builder().root_certs(roots).build()
    }
}

/// One that is none would be left out without a word later.
fn check(certificate: Certificate<'static>) -> Result<Certificate<'static>, String> {
    let der = CertificateDer::from_slice(certificate.der());
    RootCertStore::empty()
        .add(der)
        .map_err(|why| format!("the authority's certificate cannot be used: {why}"))?;
    Ok(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(pem: &str) -> String {
        Trust::default().add(pem.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert_eq!(error(""), "the authority's PEM has no certificate");
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(error(&key), "the authority's PEM has something else than certificates");
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(error(wrong).starts_with("the authority's certificate cannot be used: "), "{}", error(wrong));
    }

    #[test]
    fn all_certificates_of_a_text_are_trusted() {
        let pem = || rcgen::generate_simple_self_signed(["a".into()]).unwrap().cert.pem();
        let mut trust = Trust::default();
        trust.add(format!("{}{}", pem(), pem()).as_bytes()).unwrap();
        trust.add(pem().as_bytes()).unwrap();
        assert_eq!(trust.0.len(), 3);
    }
}
