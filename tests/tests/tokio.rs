//! The suite on tokio, and what there is on tokio only: a runtime without drivers, and one that is gone.

#![forbid(unsafe_code)]

use std::{net::TcpListener, time::Duration};

use sundown::{Gate, Runtime, Shutdown};
use sundown_tests::Programs;
use sundown_tokio::Tokio;

#[path = "../suite/mod.rs"]
mod suite;

const PROGRAMS: Programs = Programs {
    drop_waits: true,
    outside: Some(
        "the runtime gives no private place: Tokio::current() was called outside a tokio runtime; call it inside, \
         or use Tokio::of",
    ),
    ..Programs::new("tokio", env!("CARGO_BIN_EXE_on_tokio"), env!("CARGO_BIN_EXE_service_tokio"))
};

#[test]
fn a_runtime_without_drivers_is_enough_for_a_shutdown() {
    let bare = tokio::runtime::Builder::new_current_thread().build().expect("the system has resources");
    let report = bare.block_on(async {
        let gate = Gate::new();
        let builder = Shutdown::embedded(Tokio::current()).component("gate", gate.clone());
        let shutdown = builder.grace(Duration::from_secs(4)).start().expect("nothing is missing");
        shutdown.begin("a test");
        shutdown.finished().await
    });
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_runtime_that_is_gone_is_enough_for_a_shutdown_and_refuses_a_listener() {
    let runtime = tokio::runtime::Runtime::new().expect("the system has resources");
    let gone = Tokio::of(runtime.handle().clone());
    drop(runtime);
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface is there");
    listener.set_nonblocking(true).expect("it is a socket");
    let refusal = gone.adopt(listener).err().map(|error| error.to_string());
    assert!(refusal.as_deref().is_some_and(|error| error.contains("shutdown")), "{refusal:?}");
    let shutdown = Shutdown::embedded(gone).component("gate", Gate::new()).grace(Duration::from_secs(4));
    let shutdown = shutdown.start().expect("nothing is missing");
    shutdown.begin("a test");
    assert!(shutdown.finished_blocking().is_clean());
}
