//! Bytes that are drawn at random, at moments that are drawn at random, on servers that are shut down.
//!
//! Each seed is a [`Round`](round::Round) of its own: a server on one of the three runtimes, its [`service`], a notifier
//! and clients, whose bytes a [`grammar`] writes and mostly damages, around the signal, the claim and the end. What a
//! client got is [judged](verdict) byte by byte: nobody is answered twice or with half of an answer that looks whole,
//! whatever was sent. Nothing panics that was not asked to, and nothing outlives the grace.
//!
//! Threads and sockets are real: a seed says what is done, not in what order it happens. `SUNDOWN_SEED` plays one again
//! and again; `SUNDOWN_FUZZ_SECONDS` says for how long new rounds are begun (10), and `SUNDOWN_FUZZ_FROM` with which seed
//! (1: the same in every run, so that what a run says depends on what was changed).

#![forbid(unsafe_code)]

mod client;
mod grammar;
mod host;
mod plan;
mod round;
mod service;
mod verdict;

use std::{
    collections::BTreeMap,
    env,
    panic::{self, PanicHookInfo},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use self::round::Round;

/// Rounds wait most of their time.
const SIDE_BY_SIDE: usize = 12;

/// What handlers panic with.
const ON_PURPOSE: &str = "on purpose";

/// Panics that nobody asked for.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}")))
}

fn note_panic(info: &PanicHookInfo<'_>) {
    if info.payload().downcast_ref() != Some(&ON_PURPOSE) {
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
    }
}

#[test]
fn whatever_is_sent_whenever_it_is_nobody_is_answered_twice_and_nothing_hangs_or_panics() {
    let replayed = number("SUNDOWN_SEED");
    let until = Instant::now() + Duration::from_secs(number("SUNDOWN_FUZZ_SECONDS").unwrap_or(10));
    let next = AtomicU64::new(number("SUNDOWN_FUZZ_FROM").unwrap_or(1));
    let failed = AtomicBool::new(false);
    let met = Mutex::new(BTreeMap::<&str, u64>::new());
    let default = panic::take_hook();
    panic::set_hook(Box::new(note_panic));
    let play = || {
        while Instant::now() < until && !failed.load(Ordering::Relaxed) {
            let seed = replayed.unwrap_or_else(|| next.fetch_add(1, Ordering::Relaxed));
            let played = Round::draw(seed).play();
            for (what, times) in played.met {
                *met.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += times;
            }
            for wrong in played.wrong {
                failed.store(true, Ordering::Relaxed);
                eprintln!("SUNDOWN_SEED={seed}: {wrong}\n");
            }
        }
    };
    thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(play))));
    panic::set_hook(default);
    let met = met.into_inner().expect("nobody panics with it");
    println!("{met:#?}");
    let panics = PANICS.lock().expect("nobody panics with it");
    assert!(panics.is_empty(), "nobody asked for {panics:#?}");
    assert!(!failed.into_inner(), "see above");
    if replayed.is_none() {
        round::assert_met(&met);
    }
}
