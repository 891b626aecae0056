//! The contract of a notifier, on every one there is. Those that are only told take nothing over, whatever the outside
//! does; of the rules, those about refusals and hangs are for them.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

#[allow(dead_code, reason = "the webhook's own tests use all of it")]
#[path = "notifiers/monitor.rs"]
mod monitor;
#[allow(dead_code, reason = "the log line's own tests use all of it")]
#[path = "notifiers/paper.rs"]
mod paper;

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::json;
use sundown::Notifier;
use sundown_notify::{First, LogLine, Systemd, TerminationLog, Webhook};
use sundown_testkit::conformance::{Notifying, Outside};
use sundown_tokio::Tokio;

use crate::{
    monitor::{Answer, Monitor, Request, body, status, text},
    paper::Full,
};

/// A monitor that does as it is told, and the keys of the jobs it has accepted.
fn webhook(outside: Outside) -> Option<Notifying> {
    webhook_and_taken(outside, |webhook| webhook)
}

fn webhook_and_taken<N: Notifier>(outside: Outside, wrap: impl FnOnce(Webhook) -> N) -> Option<Notifying> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let accept = {
        let taken = taken.clone();
        move |request: &Request, most: usize| {
            let keys = request.events().into_iter().map(|event| text(&event["data"]["key"]));
            taken.lock().unwrap().extend(keys.take(most));
        }
    };
    let monitor = Monitor::start(move |before, request| match outside {
        Outside::Accepts => {
            accept(request, usize::MAX);
            status("204 No Content")
        }
        Outside::AcceptsOnly(most) if before == 0 => {
            accept(request, most);
            body(json!({ "acknowledged": request.ids().split_at(most).0 }).to_string())
        }
        Outside::HangsAfter(most) if before < most => {
            accept(request, usize::MAX);
            status("204 No Content")
        }
        Outside::Hangs | Outside::HangsAfter(_) => Answer::Stall(Vec::new()),
        _ => status("410 Gone"),
    });
    let webhook = match outside {
        // One job a request: a monitor accepts or refuses a request, and hangs in one.
        Outside::HangsAfter(_) => Webhook::new(monitor.url()).unwrap().batch(1, 1024),
        // The news as well, which that monitor always accepts.
        Outside::Refuses => Webhook::new(refuser()).unwrap(),
        _ => Webhook::new(monitor.url()).unwrap(),
    };
    Some(Notifying::new(wrap(webhook), move || taken.lock().unwrap().clone()))
}

/// The url of a server to which everything is gone.
fn refuser() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || refuse(client));
        }
    });
    url
}

fn refuse(client: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(&client);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        (&client).write_all(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")?;
    }
}

mod the_webhook {
    sundown_testkit::notifier_conformance!(super::webhook);
}

/// Behind a link that refuses everything.
fn first(outside: Outside) -> Option<Notifying> {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    });
    let _entered = RUNTIME.enter();
    let refuses = Webhook::new(refuser()).unwrap();
    webhook_and_taken(outside, |webhook| First::new(Tokio::current(), refuses).then(webhook))
}

mod a_chain {
    sundown_testkit::notifier_conformance!(super::first);
}

/// What nobody has taken.
fn told(notifier: impl Notifier) -> Option<Notifying> {
    Some(Notifying::new(notifier, Vec::new))
}

fn log_line(outside: Outside) -> Option<Notifying> {
    (outside == Outside::Refuses).then(|| told(LogLine::to(Full)))?
}

mod a_log_line {
    sundown_testkit::notifier_conformance!(super::log_line);
}

fn termination_log(outside: Outside) -> Option<Notifying> {
    (outside == Outside::Refuses).then(|| told(TerminationLog::at("/dev/full")))?
}

#[cfg(target_os = "linux")]
mod the_termination_log {
    sundown_testkit::notifier_conformance!(super::termination_log);
}

fn systemd(outside: Outside) -> Option<Notifying> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let reads_nothing = match outside {
        Outside::Refuses => false,
        Outside::Hangs => true,
        _ => return None,
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("sundown-conformance-{}-{count}", process::id()));
    let manager = UnixDatagram::bind(&path).unwrap();
    let systemd = Systemd::of(|name| (name == "NOTIFY_SOCKET").then(|| path.clone().into()));
    let file = Gone(path);
    // Its file is there all the time, but there may be nobody behind it.
    let manager = reads_nothing.then_some(manager);
    Some(Notifying::new(systemd, move || {
        let _ = (&file, &manager);
        Vec::new()
    }))
}

/// A file that is gone when this is.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

mod the_service_manager {
    sundown_testkit::notifier_conformance!(super::systemd);
}
