//! The contract of a notifier, on the webhook.

#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

#[allow(dead_code, reason = "the webhook's own tests use all of it")]
#[path = "notifiers/monitor.rs"]
mod monitor;

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::json;
use sundown_notify::Webhook;
use sundown_testkit::conformance::{Notifying, Outside};

use crate::monitor::{Answer, Monitor, Request, body, status, text};

/// A monitor that does as it is told, and the keys of the jobs it has accepted.
fn webhook(outside: Outside) -> Option<Notifying> {
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
    Some(Notifying::new(webhook, move || taken.lock().unwrap().clone()))
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

sundown_testkit::notifier_conformance!(webhook);
