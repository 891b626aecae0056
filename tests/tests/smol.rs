//! The suite on smol.

#![forbid(unsafe_code)]

use sundown_tests::Programs;

#[path = "../suite/mod.rs"]
mod suite;

const PROGRAMS: Programs =
    Programs::new("smol", env!("CARGO_BIN_EXE_on_smol"), env!("CARGO_BIN_EXE_service_smol"));
