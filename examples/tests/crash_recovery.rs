//! The service that is killed again and again loses nothing: run as a process of its own, as a reader would.
//!
//! `cargo test` builds the examples of a package before it runs anything, into `examples/` next to the folder of the
//! tests.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{env, path::Path, process::Command};

#[test]
fn nothing_is_lost_however_often_the_service_is_killed() {
    let test = env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples/crash_recovery");
    assert!(program.exists(), "it was not built: cargo build --examples");
    let output = Command::new(program).env("RUST_BACKTRACE", "0").output().unwrap();
    let (printed, complaints) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{complaints}");
    assert_eq!(complaints, "");
    let last = printed.lines().last().unwrap();
    assert!(last.starts_with("24 orders: ") && last.ends_with(", 0 lost"), "{printed}");
    // It is there because of its own crashes, and perhaps one of a kill.
    assert!(printed.contains("order-07 has taken its process with it"), "{printed}");
}
