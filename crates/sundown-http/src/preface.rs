//! HTTP/1 and HTTP/2 told apart by their first bytes (RFC 9113 section 3.4).

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// The beginning of the HTTP/2 preface. No HTTP/1 request can begin like this: the method is reserved for it.
const PREFACE: &[u8] = b"PRI ";

/// What begins with these bytes; `None` if they are too few to know.
pub(crate) fn tell(bytes: &[u8]) -> Option<Protocol> {
    if bytes.starts_with(PREFACE) {
        Some(Protocol::Http2)
    } else if PREFACE.starts_with(bytes) {
        None
    } else {
        Some(Protocol::Http1)
    }
}

/// What a server may say to a peer whose requests it has not looked at: its own preface, an empty SETTINGS frame, and a
/// GOAWAY frame that says that none of them was begun, so that all can be tried elsewhere (RFC 9113 sections 3.4, 6.8).
pub(crate) const GO_AWAY: [u8; 26] = [
    0, 0, 0, 4, 0, 0, 0, 0, 0, // SETTINGS, of length 0
    0, 0, 8, 7, 0, 0, 0, 0, 0, // GOAWAY, of length 8:
    0, 0, 0, 0, 0, 0, 0, 0, // last stream 0, NO_ERROR
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        assert_eq!(tell(b""), None);
        assert_eq!(tell(b"PR"), None);
        assert_eq!(tell(b"PRI * HTTP/2.0\r\n"), Some(Protocol::Http2));
        assert_eq!(tell(b"PROPFIND / HTTP/1.1"), Some(Protocol::Http1));
        assert_eq!(tell(b"\r\nGET / HTTP/1.1"), Some(Protocol::Http1));
        assert_eq!(tell(b"G"), Some(Protocol::Http1));
    }
}
