//! A bell that one thread waits for together with sockets, in `poll(2)`.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    task::Wake,
};

#[derive(Debug)]
pub(crate) struct Bell {
    rope: UnixStream,
    sound: UnixStream,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (rope, sound) = UnixStream::pair()?;
        rope.set_nonblocking(true)?;
        sound.set_nonblocking(true)?;
        Ok(Bell { rope, sound })
    }

    pub(crate) fn ring(&self) {
        // A full pipe has been rung already.
        let _ = (&self.rope).write(&[1]);
    }

    pub(crate) fn silence(&self) {
        let mut rings = [0; 256];
        while (&self.sound).read(&mut rings).is_ok_and(|read| read == rings.len()) {}
    }
}

/// What becomes readable when it rings.
impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sound.as_fd()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
