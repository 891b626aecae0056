//! The suite on async-std.

#![forbid(unsafe_code)]

use sundown_tests::Programs;

#[path = "../suite/mod.rs"]
mod suite;

const PROGRAMS: Programs =
    Programs::new("async-std", env!("CARGO_BIN_EXE_on_async_std"), env!("CARGO_BIN_EXE_service_async_std"));
