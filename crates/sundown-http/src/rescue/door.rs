//! The door of the accept queue, shut before it is closed.
//!
//! To close a listener is to reset whoever is in its queue, and to empty the queue first is not enough: those who are told
//! come again at once. So newcomers are kept out first. A listener that is bound to an interface which does not exist is
//! found by nobody: who comes now is refused, and has sent nothing, while handshakes under way still end, since they
//! are found by themselves. Linux has that since 5.7 without privileges. Elsewhere, and where listeners of one port form a
//! group (`SO_REUSEPORT`), in which the system looks at the interface no more, the queue is made as short as can be: then
//! newcomers wait, though now and then one believes that it has connected.

use std::net::TcpListener;

use rustix::net::{listen, sockopt::socket_reuseport};

/// Keeps newcomers out, for good; who is in the queue stays there, to be accepted.
pub(super) fn shut(listener: &TcpListener) {
    let grouped = socket_reuseport(listener).unwrap_or(true);
    if !refuse(listener) || grouped {
        let _ = listen(listener, 0);
    }
}

/// Whether newcomers are refused from here on.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn refuse(listener: &TcpListener) -> bool {
    use std::num::NonZeroU32;

    // The system counts interfaces from 1 and does not ask whether this one is there. (The name says IPv4; of Linux's
    // one option for both, socket2 makes two functions.)
    const NOBODYS: Option<NonZeroU32> = NonZeroU32::new(i32::MAX as u32);
    socket2::SockRef::from(listener).bind_device_by_index_v4(NOBODYS).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn refuse(_: &TcpListener) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        io::{ErrorKind, Read, Write},
        net::{SocketAddr, TcpStream},
    };

    use super::*;

    fn is_refused(address: SocketAddr) -> bool {
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }

    #[test]
    fn who_is_in_the_queue_stays_and_who_comes_is_refused() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(listener) = TcpListener::bind(local) else { continue };
            let address = listener.local_addr().unwrap();
            let mut client = TcpStream::connect(address).unwrap();
            shut(&listener);
            assert!(is_refused(address));
            let (mut accepted, _) = listener.accept().unwrap();
            client.write_all(b"?").unwrap();
            accepted.read_exact(&mut [0]).unwrap();
            accepted.write_all(b"!").unwrap();
            client.read_exact(&mut [0]).unwrap();
            assert!(is_refused(address), "nor when the queue is empty");
        }
    }
}
