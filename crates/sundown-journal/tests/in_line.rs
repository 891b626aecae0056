//! The journal behind a monitoring service that is down.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what helps tests is a test")]

use std::{net::TcpListener, time::Duration};

use sundown::{Jobs, Shutdown};
use sundown_journal::Journal;
use sundown_notify::{First, Webhook};
use sundown_tokio::Tokio;

mod place;

#[tokio::test]
async fn what_a_service_that_is_down_does_not_take_the_next_process_finds() {
    let place = place::Place::new();
    // Held, and nobody accepts: whoever connects waits.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", deaf.local_addr().unwrap());
    let journal = Journal::open(place.journal()).unwrap();
    let jobs = Jobs::new();
    let link = journal.as_last_link().outlives_the_instance();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("resizer", jobs.clone())
        .hand_over_to(First::new(Tokio::current(), Webhook::new(url).unwrap()).then(link))
        .grace(Duration::from_secs(10))
        .start()
        .unwrap();
    let _running: Vec<_> =
        (0..3).map(|n| jobs.begin(format!("image-{n}"), "resize to 640 px").unwrap()).collect();
    shutdown.begin("a test");
    shutdown.hurry();
    let report = shutdown.finished().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.jobs.handed_over.len(), 3, "{report}");
    drop(shutdown);
    journal.close().unwrap();

    let next = Journal::open(place.journal()).unwrap();
    let mut found: Vec<_> = next
        .left_over()
        .iter()
        .map(|left| (left.id().to_string(), left.payload::<String>().unwrap()))
        .collect();
    found.sort();
    let expected = ["image-0", "image-1", "image-2"].map(|id| (id.to_owned(), "resize to 640 px".to_owned()));
    assert_eq!(found, expected);
}
