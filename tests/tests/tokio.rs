//! The suite on tokio.

#![forbid(unsafe_code)]

use sundown_tests::Programs;

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
