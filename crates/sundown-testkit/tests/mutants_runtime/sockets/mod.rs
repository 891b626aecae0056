//! Wrong listeners and sockets.

mod accepting;
mod descriptor;
mod reading;
mod writing;

use std::{os::fd::AsFd, time::Duration};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use self::{
    accepting::{DeafAccept, EndedByError, LastFirst, ListenerGone, Refused, WrongAddress},
    descriptor::{Another, AsksService, Blocking},
    reading::{DeafRead, EndIsError, FirstWaker, MissesTheEnd, ResetIsEnd, SocketGone, TurnedRound},
    writing::{AlwaysWritten, DeafWrite, LastBufferFirst, OneWaker, SaysAll, TakesEverything, TakesNothing},
};

/// Whether there is something to read or to accept now, so that a mutant is deaf only where it had to wait for it.
fn is_readable(fd: impl AsFd) -> bool {
    let now = Timespec::try_from(Duration::ZERO).unwrap();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).unwrap() > 0
}
