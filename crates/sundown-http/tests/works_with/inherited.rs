//! A listener that somebody else has opened, and goes on to use: socket activation, as systemd does it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use axum::{Router, routing::get};
use listenfd::ListenFd;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use sundown::Shutdown;
use sundown_http::Server;
use sundown_tokio::Tokio;

use crate::stage::{self, BOUND};

/// Not a test: what the child of one does.
#[test]
#[ignore = "it is the child of another test"]
fn the_child() {
    let listener = ListenFd::from_env().take_tcp_listener(0).unwrap().expect("a listener is inherited");
    let http = Server::new(listener).unwrap().shared_listener().lame_duck(Duration::ZERO, Duration::ZERO);
    let runtime = stage::runtime();
    let tokio = Tokio::of(runtime.handle().clone());
    let shutdown =
        Shutdown::process(tokio).grace(stage::GRACE).component("http", http.clone()).start().unwrap();
    let router = Router::new().route("/", get(async || "the child"));
    runtime.block_on(http.serve(&shutdown, router)).unwrap();
    let report = shutdown.finished_blocking();
    let clean = format!("{:?}", report.exit_code()) == format!("{:?}", ExitCode::SUCCESS);
    std::process::exit(if clean { 0 } else { 1 });
}

/// Killed when it is dropped.
struct Activated(Child);

impl Activated {
    /// As systemd does it: the listener is descriptor 3, and the variables say whose.
    fn start(listener: &TcpListener) -> Self {
        let script =
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --ignored --exact inherited::the_child 3<&0 </dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(std::env::current_exe().unwrap());
        let inherited = OwnedFd::from(listener.try_clone().unwrap());
        Activated(command.stdin(inherited).stdout(Stdio::null()).spawn().unwrap())
    }

    fn terminate(&mut self) -> std::process::ExitStatus {
        let process = Pid::from_child(&self.0);
        let gone = pidfd_open(process, PidfdFlags::empty()).unwrap();
        kill_process(process, Signal::TERM).unwrap();
        assert!(becomes_readable(&gone), "it is still there");
        self.0.wait().unwrap()
    }
}

fn becomes_readable(fd: &impl AsFd) -> bool {
    let bound = Timespec::try_from(BOUND).unwrap();
    rustix::event::poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&bound)).unwrap() == 1
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn who_comes_when_the_child_is_gone_is_the_parent_s_to_serve() {
    let listener = stage::listener();
    let address = listener.local_addr().unwrap();
    let mut child = Activated::start(&listener);
    assert!(stage::get(address, "/").ends_with("\r\n\r\nthe child"));
    let status = child.terminate();
    assert!(status.success(), "{status}");

    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(BOUND)).unwrap();
    // What it shares with the child includes that it does not block.
    assert!(becomes_readable(&listener), "nobody is in the queue");
    listener.accept().unwrap().0.write_all(b"the parent").unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "the parent");
}
