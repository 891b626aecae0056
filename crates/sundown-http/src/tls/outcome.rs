//! What is known of a connection's TLS.

/// What the peer has agreed to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    Http1,
    Http2,
    /// It offered nothing, or something else that the configuration allows.
    Unspecified,
}

/// What the rescue has sealed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// All that is still to be written on the socket. Nobody else writes there any more.
    Bytes(Vec<u8>),
    /// The runtime is in the middle of a step: try again in a moment.
    Busy,
    /// The peer would understand nothing: close it.
    Impossible,
}

/// What the rescue has found on a connection that no handler has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// No byte of the peer's is unread.
    Nothing,
    /// Part of a record, whose kind only the rest of it tells.
    Partial,
    /// Bytes of a request.
    Request(Vec<u8>),
    /// The peer will send no more, and says so by `close_notify` or by its FIN.
    End,
    /// The handshake is not over.
    Handshaking,
    /// The socket is broken, or what came is not TLS.
    Failed,
    /// The runtime is in the middle of a step: try again in a moment.
    Busy,
}
