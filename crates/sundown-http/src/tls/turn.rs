//! Who sends: a turn ends, however the poll ends that has it.

use std::{io, mem};

use super::Tls;

/// The right to write on the socket (invariant 2), with all that is to be written.
pub(super) struct Turn<'a> {
    tls: &'a Tls,
    pub(super) bytes: Vec<u8>,
    ended: bool,
}

impl<'a> Turn<'a> {
    /// None if there is nothing to write.
    pub(super) fn take(tls: &'a Tls) -> io::Result<Option<Self>> {
        let bytes = tls.lock().take_turn()?;
        Ok(bytes.map(|bytes| Turn { tls, bytes, ended: false }))
    }

    /// The socket has taken so many of the bytes.
    pub(super) fn end(&mut self, written: usize, waits: bool) {
        let mut bytes = mem::take(&mut self.bytes);
        if written < bytes.len() {
            bytes.drain(..written);
        } else {
            // Nor is its room kept.
            bytes = Vec::new();
        }
        self.ended = true;
        self.tls.lock().end_turn(bytes, waits);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.tls.lock().end_for_good();
        }
    }
}
