//! HTTP/2 as it is on the wire: a [`Client`] that keeps every [`Frame`] in its order, has the [`Manners`] that it is
//! told to have, and says nothing by itself but what these are; and the [`Transcript`] of all that it got.

mod client;
mod frame;
mod transcript;

pub use self::{
    client::Client,
    frame::{EVERY_STREAM, Frame, PREFACE, Reason},
    transcript::Transcript,
};

/// How a client treats the server.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Whether it acknowledges pings, at once when it reads them.
    pub acknowledges_pings: bool,
    /// The same of settings.
    pub acknowledges_settings: bool,
    /// How much of an answer it takes on each stream, in bytes.
    pub window: u32,
}

/// All that one can wish for.
impl Default for Manners {
    fn default() -> Self {
        Manners { acknowledges_pings: true, acknowledges_settings: true, window: EVERY_STREAM }
    }
}

impl Manners {
    fn acknowledges(&self, frame: &Frame) -> bool {
        match frame {
            Frame::Settings { .. } => self.acknowledges_settings,
            _ => self.acknowledges_pings,
        }
    }
}

#[cfg(test)]
#[path = "h2/tests.rs"]
mod tests;
