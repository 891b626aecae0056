//! What an attempt to deliver a batch tells about its events. One question decides between *in doubt* and *not
//! delivered*: did the whole request leave, and did nobody say what became of it?
//!
//! | what happened | in doubt | again |
//! |---|---|---|
//! | no connection, or broken off before the last byte of the request | no | yes |
//! | no TLS, no usable header or proxy | no | no |
//! | sent, then reset, cut, timed out, or answered by something that is not HTTP | yes | yes |
//! | 408, 425, 429, 5xx but the next two | no | yes |
//! | 502, 504: a gateway does not know what became of what it passed on | yes | yes |
//! | 3xx, other 4xx, 1xx | no | no |
//! | 2xx, its body cut or late | yes | yes |
//! | 2xx, its body not to be understood | yes | no |
//!
//! A request that was cut before its last byte has not arrived: a server must not take it for complete
//! ([RFC 9112, section 8](https://www.rfc-editor.org/rfc/rfc9112#section-8)).

use std::{
    io,
    time::{Duration, SystemTime},
};

use ureq::http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use super::reply::Acknowledged;

/// What became of one attempt.
pub(super) type Verdict = Result<Acknowledged, Failure>;

/// Nothing of the batch was acknowledged.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    /// It may have arrived all the same.
    pub(super) in_doubt: bool,
    pub(super) again: Again,
}

/// Whether another attempt can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// After a time of our own choice.
    Soon,
    /// After the time that the server named.
    After(Duration),
}

impl Failure {
    /// The server's reply was not 2xx.
    pub(super) fn of_status(status: StatusCode, headers: &HeaderMap) -> Self {
        let again = match status.as_u16() {
            408 | 425 | 429 | 500..=599 => retry_after(headers).map_or(Again::Soon, Again::After),
            _ => Again::Never,
        };
        let note = if status.is_redirection() { ", and redirects are not followed" } else { "" };
        Failure {
            why: format!("status {}{note}", status.as_u16()),
            in_doubt: matches!(status.as_u16(), 502 | 504),
            again,
        }
    }

    /// There was no reply. `sent`: the whole request had left.
    pub(super) fn of_error(error: &ureq::Error, sent: bool, within: Duration) -> Self {
        use ureq::Error::{Http, Io, Protocol, Rustls, Timeout, Tls, TlsRequired};
        let (why, again) = match error {
            Timeout(_) if sent => (format!("no reply within {} ms", within.as_millis()), Again::Soon),
            Timeout(_) => (format!("not connected and sent within {} ms", within.as_millis()), Again::Soon),
            // The handshake is over before a byte of the request leaves.
            Io(error) if !sent && error.kind() == io::ErrorKind::InvalidData => (no_tls(error), Again::Never),
            Tls(_) | Rustls(_) | TlsRequired => (no_tls(error), Again::Never),
            Io(error) if sent => (format!("broken off before the reply: {error}"), Again::Soon),
            Io(error) => (error.to_string(), Again::Soon),
            Protocol(error) => (format!("the reply is not HTTP/1.1: {error}"), Again::Soon),
            Http(_) => (error.to_string(), Again::Never),
            other => (other.to_string(), Again::Soon),
        };
        Failure { why, in_doubt: sent, again }
    }
}

fn no_tls(error: &dyn std::error::Error) -> String {
    format!(
        "no TLS connection; is the port a TLS port, with a certificate from an authority that is trusted? {error}"
    )
}

/// [Retry-After](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, retry_after: &str) -> Failure {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        Failure::of_status(StatusCode::from_u16(code).unwrap(), &headers)
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let again = |code| status(code, "-").again == Again::Soon;
        let codes: Vec<u16> = (300..600).filter(|&code| again(code)).collect();
        let expected: Vec<u16> = [408, 425, 429].into_iter().chain(500..600).collect();
        assert_eq!(codes, expected);
    }

    #[test]
    fn only_a_gateway_leaves_a_doubt() {
        let codes: Vec<u16> = (300..600).filter(|&code| status(code, "-").in_doubt).collect();
        assert_eq!(codes, [502, 504]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(status(503, "2").again, Again::After(Duration::from_secs(2)));
        assert_eq!(status(503, "Sun, 06 Nov 1994 08:49:37 GMT").again, Again::After(Duration::ZERO));
        assert_eq!(status(503, "soon").again, Again::Soon);
        assert_eq!(status(400, "2").again, Again::Never);
    }
}
