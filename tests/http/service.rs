//! The service under test, as a process.

use std::{net::SocketAddr, time::Instant};

use rustix::process::Signal;

use super::{Client, Monitor};
use crate::{Child, Ending};

/// A process that serves HTTP, and prints where.
#[derive(Debug)]
pub struct Service {
    /// The process.
    pub child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Service {
    /// Starts a program with these arguments and variables of the environment, and the monitor as the one that takes over.
    ///
    /// # Panics
    ///
    /// When it does not say where it listens.
    pub(crate) fn start(
        program: &str,
        arguments: &str,
        variables: &[(&str, &str)],
        monitor: Option<&Monitor>,
    ) -> Self {
        let url = monitor.map(Monitor::url);
        let mut all = vec![("PORT", "0"), ("GRACE", "10"), ("JOB_LOG", "/dev/stdout")];
        all.extend(url.as_deref().map(|url| ("SINK_URL", url)));
        all.extend(variables);
        let mut child = Child::spawn(program, arguments, &all);
        let line = child.wait_for("listening on ");
        let address = line.text.trim_start_matches("listening on ").parse().expect("it is an address");
        Service { child, address }
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// A new connection on which `GET` was sent, once its handler has begun.
    pub fn begin(&mut self, path: &str, id: &str) -> Client {
        let client = Client::asking(self.address, path, id);
        self.wait_for_start(id);
        client
    }

    /// A new connection that has served a request, and may serve more.
    ///
    /// # Panics
    ///
    /// When the request is not served.
    pub fn connect_kept(&mut self) -> Client {
        let mut client = Client::asking(self.address, "/fast", "before");
        assert_eq!(client.reply("GET").status, 200);
        client
    }

    /// Waits until the handler of this job has begun.
    pub fn wait_for_start(&mut self, id: &str) {
        self.child.wait_for(&format!("S {id}"));
    }

    /// Connections of these jobs, whose handlers block as many threads: all that the responder has.
    pub fn block_together(&mut self, ids: &[String]) -> Vec<Client> {
        let ask = |id| Client::asking(self.address, "/block-together", id);
        let clients = ids.iter().map(|id| ask(id)).collect();
        ids.iter().for_each(|_| drop(self.child.wait_for("B ")));
        clients
    }

    /// Terminates it. Returns the moment just before.
    pub fn terminate(&self) -> Instant {
        self.child.signal(Signal::TERM)
    }

    /// Waits for its end.
    pub fn end(self) -> Ending {
        self.child.end()
    }
}

/// Terminates the service, and skips the rest of its drain: straight to the claim, with all the time for what is
/// after. Returns the moment of the beginning.
pub fn terminate_and_hurry(service: &Service, monitor: &Monitor) -> Instant {
    let signalled = service.terminate();
    // Of two signals that wait, either may come first.
    monitor.wait_for_draining();
    service.child.signal(Signal::INT);
    signalled
}
