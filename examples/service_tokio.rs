//! The service one would deploy, on tokio: see `service/mod.rs`.
//!
//! ```text
//! PORT=8080 SINK_URL=http://127.0.0.1:9000/ cargo run --example service_tokio
//! ```
//!
//! With `THREADS=1` the runtime is current-thread, else multi-thread.

#![forbid(unsafe_code)]
#![allow(unreachable_pub)] // a program has no outside

mod service;

use std::{error::Error, process::ExitCode};

use sundown_tokio::Tokio;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    service::report(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let runtime = match service::threads()? {
        Some(1) => Builder::new_current_thread().enable_all().build()?,
        Some(threads) => Builder::new_multi_thread().worker_threads(threads).enable_all().build()?,
        None => Runtime::new()?,
    };
    runtime.block_on(async { service::serve(Tokio::current()).await })
}
