//! The manager's socket: datagrams of assignments, one a line, and now and then a descriptor with one.

use std::{
    ffi::OsString,
    fmt,
    io::{self, IoSlice, PipeReader},
    mem::MaybeUninit,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, net::UnixDatagram},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr},
};

/// How long a manager that does not read holds us: its queue is full then, as nothing else makes it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where the manager listens.
#[derive(Clone)]
pub(super) struct Address {
    unix: SocketAddrUnix,
    shown: String,
}

impl Address {
    /// An absolute path, or `@` and a name without a file
    /// ([`sd_notify`](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html#Notes)).
    pub(super) fn parse(text: OsString) -> Result<Self, String> {
        let shown = text.to_string_lossy().into_owned();
        let unix = match text.as_bytes() {
            [b'@', name @ ..] => without_a_file(name),
            [b'/', ..] => SocketAddrUnix::new(text.as_bytes()),
            _ => {
                return Err(format!(
                    "NOTIFY_SOCKET is `{shown}`, neither an absolute path nor an abstract name"
                ));
            }
        };
        let unix =
            unix.map_err(|why| format!("NOTIFY_SOCKET is `{shown}`, no address of a socket: {why}"))?;
        Ok(Address { unix, shown })
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn without_a_file(name: &[u8]) -> rustix::io::Result<SocketAddrUnix> {
    SocketAddrUnix::new_abstract_name(name)
}

/// Only Linux has them.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn without_a_file(_: &[u8]) -> rustix::io::Result<SocketAddrUnix> {
    Err(rustix::io::Errno::AFNOSUPPORT)
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The manager, and our end of the way to it: open from the beginning, since at the end there may be no descriptors.
pub(super) struct Manager {
    socket: UnixDatagram,
    address: Address,
}

impl Manager {
    pub(super) fn new(address: Address) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Manager { socket, address })
    }

    pub(super) fn address(&self) -> &str {
        &self.address.shown
    }

    pub(super) fn tell(&self, message: &str) -> io::Result<()> {
        self.send(message, &mut SendAncillaryBuffer::default())
    }

    /// Waits until the manager has read all that it was told before. It says so by closing what it is sent: the last
    /// other end of a pipe.
    pub(super) fn barrier(&self, within: Duration) -> io::Result<()> {
        let (ours, theirs) = io::pipe()?;
        {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut with = SendAncillaryBuffer::new(&mut space);
            let descriptors = [theirs.as_fd()];
            with.push(SendAncillaryMessage::ScmRights(&descriptors));
            self.send("BARRIER=1", &mut with)?;
        }
        drop(theirs);
        closed(&ours, within)
    }

    /// To the address and not by a connection: a manager that has opened its socket anew is found.
    fn send(&self, message: &str, with: &mut SendAncillaryBuffer<'_, '_, '_>) -> io::Result<()> {
        let message = [IoSlice::new(message.as_bytes())];
        sendmsg_addr(&self.socket, &self.address.unix, &message, with, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// Waits until the other end of a pipe is closed everywhere.
fn closed(pipe: &PipeReader, within: Duration) -> io::Result<()> {
    let ends = Instant::now() + within;
    loop {
        let left = ends.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        // Nothing is asked for: that the other end is closed is always told.
        match poll(&mut [PollFd::new(pipe, PollFlags::empty())], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for text in ["vsock:2:1234", "run/notify", "notify"] {
            let error = Address::parse(text.into()).unwrap_err();
            assert_eq!(
                error,
                format!("NOTIFY_SOCKET is `{text}`, neither an absolute path nor an abstract name")
            );
        }
        let error = Address::parse(format!("/{}", "x".repeat(200)).into()).unwrap_err();
        assert!(error.contains("no address of a socket"), "{error}");
    }
}
