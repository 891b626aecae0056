//! Who has sent a request: the signature of [Standard Webhooks](https://www.standardwebhooks.com), over the request's id,
//! the time and the body. What it keeps true: a key is never shown.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const ID: HeaderName = HeaderName::from_static("webhook-id");
pub(super) const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// How long a key may be
/// ([specification](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme)).
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret, ready to sign with.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    /// `whsec_` and 24 to 64 bytes in base64.
    pub(super) fn parse(secret: &str) -> Result<Self, String> {
        let text = secret.strip_prefix("whsec_").ok_or("a secret begins with `whsec_`")?;
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| "what follows `whsec_` is no base64")?;
        if !LENGTHS.contains(&bytes.len()) {
            return Err(format!("a secret has 24 to 64 bytes, this one has {}", bytes.len()));
        }
        Ok(Key(Hmac::new_from_slice(&bytes).expect("a key may be of any length")))
    }

    fn sign(&self, content: [&[u8]; 5]) -> String {
        let mut hmac = self.0.clone();
        content.iter().for_each(|part| hmac.update(part));
        format!("v1,{}", BASE64_STANDARD.encode(hmac.finalize().into_bytes()))
    }
}

/// Adds what a receiver needs to know who has sent this, and when (in seconds since 1970). With more than one key, any of
/// them is enough: while they are exchanged, there are two.
pub(super) fn sign(headers: &mut HeaderMap, keys: &[Key], id: &str, seconds: u64, body: &[u8]) {
    if keys.is_empty() {
        return;
    }
    let time = seconds.to_string();
    let content = [id.as_bytes(), b".", time.as_bytes(), b".", body];
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(content)).collect();
    let value =
        |text: &str| HeaderValue::from_str(text).expect("an id, digits and base64 are valid in a header");
    headers.insert(ID, value(id));
    headers.insert(TIMESTAMP, value(&time));
    headers.insert(SIGNATURE, value(&signatures.join(" ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_what_others_compute() {
        // printf 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}' |
        //     openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw | base64 -d | xxd -p) \
        //     -binary | base64
        let mut headers = HeaderMap::new();
        let keys = [Key::parse(SECRET).unwrap()];
        sign(&mut headers, &keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(headers[ID], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(headers[TIMESTAMP], "1614265330");
        assert_eq!(headers[SIGNATURE], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_key_signs() {
        let mut headers = HeaderMap::new();
        let other = Key::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let keys = [Key::parse(SECRET).unwrap(), other];
        sign(&mut headers, &keys, "1", 2, b"3");
        let signatures: Vec<_> = headers[SIGNATURE].to_str().unwrap().split(' ').collect();
        assert_eq!(signatures.len(), 2);
        assert_ne!(signatures[0], signatures[1]);
        let mut headers = HeaderMap::new();
        sign(&mut headers, &[], "1", 2, b"3");
        assert!(headers.is_empty());
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        let long = format!("whsec_{}", BASE64_STANDARD.encode([7; 65]));
        for (text, expected) in [
            ("s3cr3t", "a secret begins with `whsec_`"),
            ("whsec_s3cr3t!", "what follows `whsec_` is no base64"),
            ("whsec_s3cr3t==", "what follows `whsec_` is no base64"),
            ("whsec_AAAA", "a secret has 24 to 64 bytes, this one has 3"),
            (&long, "a secret has 24 to 64 bytes, this one has 65"),
        ] {
            assert_eq!(Key::parse(text).err().as_deref(), Some(expected));
        }
    }
}
