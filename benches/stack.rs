//! What is served, and by whom: the cases that are compared.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use sundown::Shutdown;
use sundown_http::Server;
use sundown_tokio::Tokio;

use crate::{
    bare::{self, Timers},
    client::{HELLO, ITEMS, Requests},
    service::{Hello, router},
};

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// hyper alone.
    Bare,
    /// The same, with the timer that `sundown_http` gives it.
    Lazy,
    /// `sundown_http`; requests are no jobs.
    Ours,
    /// The same, and each request is one.
    Jobs,
}

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bare service.
    Hello,
    /// An axum router.
    Router,
}

/// Every one, and its name on the command line.
pub const STACKS: [(Stack, &str); 4] =
    [(Stack::Bare, "bare"), (Stack::Lazy, "lazy"), (Stack::Ours, "ours"), (Stack::Jobs, "jobs")];

/// Likewise.
pub const KINDS: [(Kind, &str); 2] = [(Kind::Hello, "hello"), (Kind::Router, "router")];

/// The one of this name.
///
/// # Errors
///
/// When there is none.
pub fn named<T: Copy>(all: &[(T, &str)], name: &str) -> Result<T, String> {
    let found = all.iter().find(|(_, known)| *known == name);
    found.map(|(one, _)| *one).ok_or_else(|| format!("no such case: {name:?}"))
}

impl Kind {
    /// What a client asks of it.
    pub fn requests(self) -> Requests {
        match self {
            Kind::Hello => HELLO,
            Kind::Router => ITEMS,
        }
    }
}

/// Serves for ever, on a runtime of the calling thread alone.
///
/// # Errors
///
/// When it cannot be set up.
pub fn serve(stack: Stack, kind: Kind, listener: TcpListener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let alone = match stack {
            Stack::Bare => Some(Timers::Plain),
            Stack::Lazy => Some(Timers::Lazy),
            Stack::Ours | Stack::Jobs => None,
        };
        if let Some(timers) = alone {
            let tokio = Arc::new(Tokio::current());
            return match kind {
                Kind::Hello => bare::serve(tokio, timers, listener, Hello).await,
                Kind::Router => bare::serve(tokio, timers, listener, router()).await,
            };
        }
        let server = Server::new(listener)?;
        let server = if stack == Stack::Jobs { server.requests_are_jobs("x-job-id") } else { server };
        let builder = Shutdown::embedded(Tokio::current()).component("http", server.clone());
        let shutdown = builder.grace(Duration::from_secs(10)).start().map_err(io::Error::other)?;
        match kind {
            Kind::Hello => server.serve(&shutdown, Hello).await,
            Kind::Router => server.serve(&shutdown, router()).await,
        }
    })
}
