use std::{
    net::UdpSocket,
    os::fd::{AsFd, BorrowedFd},
    sync::{OnceLock, mpsc},
    thread,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use sundown::{Runtime, Transport};
use sundown_tokio::Tokio;

use crate::fault::{Fault, SERVICE};

/// The descriptor of something else.
pub(crate) struct Another(UdpSocket);

impl Default for Another {
    fn default() -> Self {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.set_nonblocking(true).unwrap();
        Another(other)
    }
}

impl Fault for Another {
    fn fd<'a>(&'a self, _: &'a dyn Transport) -> BorrowedFd<'a> {
        self.0.as_fd()
    }
}

/// Whoever looks at it finds it blocking.
pub(crate) struct Blocking;

impl Fault for Blocking {
    fn fd<'a>(&'a self, right: &'a dyn Transport) -> BorrowedFd<'a> {
        fcntl_setfl(right, fcntl_getfl(right).unwrap() - OFlags::NONBLOCK).unwrap();
        right.as_fd()
    }
}

/// The service is asked first.
#[derive(Default)]
pub(crate) struct AsksService(OnceLock<Tokio>);

impl Fault for AsksService {
    fn started(&self, right: &Tokio) {
        self.0.set(right.clone()).unwrap();
    }

    fn fd<'a>(&'a self, right: &'a dyn Transport) -> BorrowedFd<'a> {
        if thread::current().name() != Some(SERVICE) {
            let (tell, granted) = mpsc::channel::<()>();
            self.0.get().unwrap().spawn(Box::pin(async move { drop(tell) }));
            let _ = granted.recv();
        }
        right.as_fd()
    }
}
