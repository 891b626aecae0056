//! Whether a monitor can tell who has sent a request.

use std::time::SystemTime;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sundown_notify::Webhook;

use crate::{
    monitor::{Monitor, Request, status},
    service::{go_down, letters},
};

const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn secret(key: &[u8]) -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(key))
}

/// What a receiver does, by the specification's own words.
fn is_signed_by(request: &Request, key: &[u8]) -> bool {
    let header = |name| request.header(name).unwrap();
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    hmac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    hmac.update(&request.body);
    let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac.finalize().into_bytes()));
    header("webhook-signature").split(' ').any(|signature| signature == expected)
}

#[tokio::test]
async fn every_request_is_signed_and_every_attempt_at_one_has_its_id() {
    let monitor = Monitor::start(|before, _| match before {
        0 => status("500 Internal Server Error"),
        _ => status("204 No Content"),
    });
    let webhook = Webhook::new(monitor.url()).unwrap().sign(secret(&KEYS[0])).batch(2, 1 << 20);
    let debug = format!("{webhook:?}");
    assert!(!debug.contains("whsec_"), "{debug}");
    let report = go_down(webhook, letters(3)).await;
    assert!(report.is_clean(), "{report}");
    // At least of the end; there was no time for the beginning, perhaps.
    let (jobs, news) = (monitor.jobs(), monitor.news(1));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for request in jobs.iter().chain(&news) {
        assert!(is_signed_by(request, &KEYS[0]) && !is_signed_by(request, &KEYS[1]));
        let at: u64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
        // What the specification lets a receiver take for a replay is minutes old.
        assert!(at <= now && at + 120 > now, "{at}");
    }
    let id = |request: &Request| request.header("webhook-id").unwrap().to_owned();
    // Two batches, the first of them twice.
    assert_eq!(jobs.len(), 3);
    let again = jobs.iter().filter(|request| id(request) == id(&jobs[0])).collect::<Vec<_>>();
    assert_eq!(again.len(), 2);
    assert_eq!(again[0].body, again[1].body);
    let mut all: Vec<_> = jobs.iter().chain(&news).map(id).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 2 + news.len());
}

#[tokio::test]
async fn while_a_secret_is_exchanged_both_sign() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    let webhook = Webhook::new(monitor.url()).unwrap();
    let webhook = KEYS.iter().fold(webhook, |webhook, key| webhook.sign(secret(key)));
    go_down(webhook, letters(1)).await;
    let request = &monitor.jobs()[0];
    assert!(KEYS.iter().all(|key| is_signed_by(request, key)), "{}", request.head);
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    go_down(Webhook::new(monitor.url()).unwrap(), letters(1)).await;
    let request = &monitor.jobs()[0];
    assert_eq!(request.header("webhook-signature"), None);
    assert_eq!(request.header("webhook-id"), None);
}
