//! What an answer depends on besides method and target, noted when a request begins: its handler gets the rest.
//!
//! Every request pays for this, and few are ever answered here: nothing is parsed that an answer can parse later, and a
//! field that comes once is kept without a copy.

use http::{HeaderValue, Method, Request, Version, header};

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
    #[inline]
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        // A 2xx to CONNECT opens a tunnel (RFC 9110 section 9.3.6).
        let mut asked = Asked { awaits_switch: request.method() == Method::CONNECT, ..Asked::default() };
        // Over HTTP/1 nobody would see that what gRPC calls 200 is no success.
        let may_be_grpc = request.version() == Version::HTTP_2;
        for (name, value) in request.headers() {
            if name == header::ACCEPT {
                if value != "*/*" {
                    asked.accept(value);
                }
            } else if name == header::UPGRADE {
                // Who offers h2c goes on in HTTP/1 if that is not taken up (section 7.8); others wait for their 101.
                asked.awaits_switch |= !value.as_bytes().eq_ignore_ascii_case(b"h2c");
            } else if may_be_grpc && name == header::CONTENT_TYPE {
                asked.is_grpc = is_grpc(value.as_bytes());
            }
        }
        asked
    }

    fn accept(&mut self, value: &HeaderValue) {
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

/// `application/grpc`, with or without the name of an encoding (`+proto`) and parameters; not `application/grpc-web`, whose
/// trailers are in the body.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let Some((begin, rest)) = content_type.split_at_checked(GRPC.len()) else { return false };
    begin.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}
