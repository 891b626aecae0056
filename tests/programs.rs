//! The programs that a suite starts: the same fixtures and the same service, on one runtime.

use std::process::Command;

use crate::{
    Child,
    http::{Monitor, Service},
};

/// The programs on one runtime, and what is particular about it.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// What it is called.
    pub runtime: &'static str,
    /// The [fixtures](crate::fixture).
    pub fixtures: &'static str,
    /// The service of the examples.
    pub service: &'static str,
    /// Whether dropping the runtime waits for what blocks.
    pub drop_waits: bool,
    /// What `start` says to who is outside the runtime, where that matters.
    pub outside: Option<&'static str>,
}

impl Programs {
    /// Those of a runtime that has nothing particular.
    pub const fn new(runtime: &'static str, fixtures: &'static str, service: &'static str) -> Self {
        Programs { runtime, fixtures, service, drop_waits: false, outside: None }
    }

    /// A service that misbehaves as these arguments say.
    pub fn unruly(&self, arguments: &str) -> Child {
        self.unruly_with(arguments, &[])
    }

    /// The same, with these variables of the environment.
    pub fn unruly_with(&self, arguments: &str, variables: &[(&str, &str)]) -> Child {
        Child::spawn(self.fixtures, &format!("unruly {arguments}"), variables)
    }

    /// A service that misbehaves as these arguments say, once it is ready.
    pub fn ready(&self, arguments: &str) -> Child {
        let mut child = self.unruly(arguments);
        child.wait_for("ready");
        child
    }

    /// A service whose first start is this mistake, and what it does then; the environment gives it this grace.
    pub fn second_try(&self, mistake: &str, then: &str, grace: &str) -> Child {
        Child::spawn(self.fixtures, &format!("second_try {mistake} {then}"), &[("SUNDOWN_GRACE", grace)])
    }

    /// An HTTP service whose handlers do what handlers should not.
    pub fn responder(&self, variables: &[(&str, &str)], monitor: Option<&Monitor>) -> Service {
        Service::start(self.fixtures, "responder", variables, monitor)
    }

    /// The same as the first process of its own world of processes, as in a container; `None` where that is not allowed.
    pub fn first_responder(&self, variables: &[(&str, &str)], monitor: Option<&Monitor>) -> Option<Service> {
        if !may_unshare() {
            return None;
        }
        let arguments = format!("--pid --fork --kill-child {} responder", self.fixtures);
        let mut service = Service::start("unshare", &arguments, variables, monitor);
        service.child.signal_its_child();
        Some(service)
    }

    /// A fixture as the first process of its own world of processes, and the one that keeps that; `None` where it is not
    /// allowed.
    pub fn first(&self, arguments: &str) -> Option<Child> {
        may_unshare().then(|| {
            let arguments = format!("--pid --fork --kill-child {} {arguments}", self.fixtures);
            Child::spawn("unshare", &arguments, &[])
        })
    }

    /// The HTTP service of the examples.
    pub fn service(&self, variables: &[(&str, &str)], monitor: Option<&Monitor>) -> Service {
        Service::start(self.service, "", variables, monitor)
    }
}

/// Whether there are worlds of processes of one's own here.
fn may_unshare() -> bool {
    let status = Command::new("unshare").args(["--pid", "--fork", "true"]).status();
    let may = status.is_ok_and(|status| status.success());
    if !may {
        println!("no world of processes of one's own here: nothing was seen");
    }
    may
}
