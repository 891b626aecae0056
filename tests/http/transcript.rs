//! All that a client got over HTTP/1, and how that ended.

use std::time::Instant;

use super::Reply;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order; over TLS, with a close_notify before.
    Fin,
    /// Over TLS, in order for TCP only: what came may have been cut.
    Ragged,
    /// By a reset.
    Reset,
    /// Not at all, as long as we waited.
    None,
}

/// All that a client got, from where it had last looked.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// Every byte.
    pub bytes: Vec<u8>,
    /// What came after the last one.
    pub end: End,
    /// When that came.
    pub at: Instant,
}

impl Transcript {
    /// The answers in it, to requests of these methods.
    ///
    /// # Panics
    ///
    /// When bytes are no answer, or belong to none.
    pub fn replies(&self, methods: &[&str]) -> Vec<Reply> {
        let mut rest = &self.bytes[..];
        let mut replies = Vec::new();
        let mut methods = methods.iter();
        while !rest.is_empty() {
            let method = methods.next().unwrap_or_else(|| panic!("bytes after the end: {self}"));
            let (reply, length) = Reply::parse(rest, method, self.end == End::Fin)
                .unwrap_or_else(|| panic!("cut in a head: {self}"));
            rest = &rest[length..];
            replies.push(reply);
        }
        replies
    }

    /// The one answer in it, which is whole and followed by nothing but a clean end.
    ///
    /// # Panics
    ///
    /// When it is not so.
    pub fn only_reply(&self, method: &str) -> Reply {
        let replies = self.replies(&[method]);
        assert_eq!(self.end, End::Fin, "{self}");
        let [reply] = &replies[..] else { panic!("no answer: {self}") };
        assert!(reply.is_whole, "cut: {self}");
        reply.clone()
    }

    /// Asserts that nothing came but a clean end.
    ///
    /// # Panics
    ///
    /// When it was not so.
    pub fn assert_silent(&self) {
        assert!(self.bytes.is_empty() && self.end == End::Fin, "{self}");
    }
}

impl std::fmt::Display for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.bytes[..self.bytes.len().min(2000)];
        write!(f, "{} bytes, {:?}: {:?}", self.bytes.len(), self.end, String::from_utf8_lossy(shown))
    }
}
