//! What an answer depends on besides method and target, noted when a request begins: its handler gets the rest.
//!
//! Every request pays for this, and few are ever answered here: one pass over the fields, and nothing is parsed that an
//! answer can parse later. A field that comes once is kept without a copy.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `None` also for `*/*`, which says nothing.
    pub(super) accept: Option<HeaderValue>,
    /// Its content type is gRPC's.
    pub(super) is_grpc: bool,
    /// A 2xx would switch protocols, or is not what it waits for.
    pub(super) awaits_switch: bool,
}

impl Asked {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        // A 2xx to CONNECT opens a tunnel (RFC 9110 section 9.3.6).
        let mut asked = Asked { awaits_switch: *method == Method::CONNECT, ..Asked::default() };
        for (name, value) in headers {
            asked.note(name, value);
        }
        asked
    }

    fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        if name == header::ACCEPT {
            self.accept(value);
        } else if name == header::CONTENT_TYPE {
            self.is_grpc = is_grpc(value.as_bytes());
        } else if name == header::UPGRADE {
            // Who offers h2c goes on in HTTP/1 if that is not taken up (RFC 9110 section 7.8); others wait for their 101.
            self.awaits_switch |= !value.as_bytes().eq_ignore_ascii_case(b"h2c");
        }
    }

    fn accept(&mut self, value: &HeaderValue) {
        if value == "*/*" {
            return;
        }
        self.accept = match self.accept.take() {
            None => Some(value.clone()),
            // Two fields are one list (RFC 9110 section 5.3).
            Some(before) => {
                let list = [before.as_bytes(), value.as_bytes()].join(&b", "[..]);
                HeaderValue::from_bytes(&list).ok().or(Some(before))
            }
        };
    }
}

/// `application/grpc`, with or without the name of an encoding (`+proto`) and parameters; not `application/grpc-web`.
fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let Some((begin, rest)) = content_type.split_at_checked(GRPC.len()) else { return false };
    begin.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}
