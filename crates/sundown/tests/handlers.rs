//! Somebody else's handler, in a real process: which is this one, so there is one test.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use signal_hook::{consts::SIGUSR1, flag, low_level};
use sundown::{Escalation, Gate, Reason, Shutdown, Signal, Urgency};
use sundown_tokio::Tokio;

/// If the default were in force afterwards, it would end this process.
#[tokio::test]
async fn a_handler_that_was_there_before_hears_its_signal_beside_a_shutdown_and_alone_afterwards() {
    let heard = Arc::new(AtomicBool::new(false));
    flag::register(SIGUSR1, heard.clone()).unwrap();
    // Relaxed: a raised signal is handled on this thread.
    let raise = || {
        low_level::raise(SIGUSR1).unwrap();
        heard.swap(false, Ordering::Relaxed)
    };
    for _ in 0..3 {
        let shutdown = Shutdown::process(Tokio::current())
            .component("gate", Gate::new())
            .grace(Duration::from_secs(4))
            .escalation(Escalation::default().on(Signal::Usr1, [Urgency::Begin]))
            .keep_process()
            .start()
            .unwrap();
        shutdown.begin("a stage is over");
        assert!(shutdown.finished().await.is_clean());
        assert!(raise());
    }
    let table = Escalation::none().on(Signal::Usr1, [Urgency::Begin]);
    let shutdown = Shutdown::process(Tokio::current()).escalation(table).start().unwrap();
    assert!(raise());
    shutdown.watch().draining().await;
    assert_eq!(shutdown.watch().reason(), Some(&Reason::Signal(Signal::Usr1)));
}
