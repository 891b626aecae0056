//! The process that a matrix is played on, and what may come next for a connection to it.

use std::time::Duration;

use sundown_tests::http::{Answer, Client, Monitor, Service, Tls};

use super::PROGRAMS;

/// How long the monitor takes: so long lasts the time between the claim and the answers.
const CLAIMED: Duration = Duration::from_millis(600);

/// The process that all connections of a matrix are to.
pub(super) struct Stage {
    pub(super) service: Service,
    pub(super) monitor: Monitor,
    pub(super) is_blocked: bool,
    pub(super) tls: Option<Tls>,
    /// The job of the case in hand.
    pub(super) id: String,
    threads: String,
    /// Jobs that must not begin.
    pub(super) refused: Vec<String>,
}

/// What comes next for a connection.
pub(super) enum Act {
    /// This, with the runtime blocked if it is to be, right before the signal.
    BeforeTheSignal(Step),
    /// This, when the server drains.
    Draining(Step),
    /// This, after that: it waits until traffic is quiet, if the runtime can tell.
    Quiet(Step),
    /// This, when jobs are claimed, and nobody is answered yet.
    Claimed(Step),
    /// It reads to its end, and looks at it: beside all others.
    End(Look),
    /// It does so when the process has gone.
    Gone(Look),
}

pub(super) type Step = Box<dyn FnOnce(&mut Stage) -> Act>;
pub(super) type Look = Box<dyn FnOnce() + Send>;

pub(super) fn before_the_signal(step: impl FnOnce(&mut Stage) -> Act + 'static) -> Act {
    Act::BeforeTheSignal(Box::new(step))
}

pub(super) fn draining(step: impl FnOnce(&mut Stage) -> Act + 'static) -> Act {
    Act::Draining(Box::new(step))
}

pub(super) fn quiet(step: impl FnOnce(&mut Stage) -> Act + 'static) -> Act {
    Act::Quiet(Box::new(step))
}

pub(super) fn claimed(step: impl FnOnce(&mut Stage) -> Act + 'static) -> Act {
    Act::Claimed(Box::new(step))
}

pub(super) fn end(look: impl FnOnce() + Send + 'static) -> Act {
    Act::End(Box::new(look))
}

pub(super) fn gone(look: impl FnOnce() + Send + 'static) -> Act {
    Act::Gone(Box::new(look))
}

impl Stage {
    /// One that serves on so many threads, and in a task, so that `main` is no thread of it.
    pub(super) fn new(threads: &str, is_blocked: bool, tls: Option<Tls>) -> Self {
        let monitor = Monitor::start(|_| Answer::AcknowledgeAfter(CLAIMED));
        let files = tls.as_ref().map(Tls::variables);
        let mut variables = vec![("THREADS", threads), ("LIFE", "task"), ("HAND_OVER", "3000")];
        variables.extend(files.iter().flatten().map(|(name, file)| (*name, file.as_str())));
        let service = PROGRAMS.responder(&variables, Some(&monitor));
        let threads = threads.to_owned();
        Stage { service, monitor, is_blocked, tls, id: String::new(), threads, refused: Vec::new() }
    }

    /// The head of a request for the job in hand.
    pub(super) fn head(&self, line: &str, fields: &str) -> String {
        format!("{line}\r\nhost: test\r\nx-job-id: {}\r\n{fields}\r\n", self.id)
    }

    /// A new connection, over what there is here.
    pub(super) fn connect(&self) -> Client {
        match &self.tls {
            Some(tls) => tls.connect(self.service.address),
            None => self.service.connect(),
        }
    }

    /// A connection that has served a request, and may serve more.
    pub(super) fn connect_kept(&self) -> Client {
        let mut client = self.connect();
        client.get("/fast", "before");
        client.reply("GET").assert_own("fast before\n");
        client
    }

    /// A connection on which this was asked, once its handler has begun.
    pub(super) fn begin(&mut self, line: &str, fields: &str) -> Client {
        let mut client = self.connect();
        client.send(self.head(line, fields));
        self.wait_for_start();
        client
    }

    /// Waits until the handler of the job in hand has begun.
    pub(super) fn wait_for_start(&mut self) {
        self.service.wait_for_start(&self.id);
    }

    /// The handler of the job in hand must never begin.
    pub(super) fn must_not_start(&mut self) {
        self.refused.push(self.id.clone());
    }

    /// Blocks every thread that runs tasks. The clients that did, who wait for their answers.
    pub(super) fn block(&mut self) -> Vec<(String, Client)> {
        let path = if self.threads == "1" { "/wait?block=true" } else { "/block-together" };
        let threads: usize = self.threads.parse().expect("it is a number");
        let ids = (0..threads).map(|n| format!("blocker-{n}"));
        let ask = |id: String| {
            let mut client = self.connect();
            client.get(path, &id);
            (id, client)
        };
        let clients: Vec<_> = ids.map(ask).collect();
        let line = if self.threads == "1" { "S blocker-" } else { "B blocker-" };
        clients.iter().for_each(|_| drop(self.service.child.wait_for(line)));
        clients
    }

    /// Waits until the server's turn has come: somebody is told that it was the last time.
    pub(super) fn wait_for_the_turn(&self) {
        loop {
            let mut probe = self.connect();
            probe.get("/fast", "probe");
            if probe.reply("GET").field("connection").is_some() {
                return;
            }
        }
    }
}
