//! The same service on smol: see `service/mod.rs`.
//!
//! ```text
//! PORT=8080 SINK_URL=http://127.0.0.1:9000/ cargo run --example service_smol
//! ```
//!
//! The executor is the service's own, run by `THREADS` threads, of which `main` is one.

#![forbid(unsafe_code)]
#![allow(unreachable_pub)] // a program has no outside

mod service;

use std::{error::Error, future::pending, process::ExitCode, sync::Arc, thread};

use smol::Executor;
use sundown_smol::Smol;

fn main() -> ExitCode {
    service::report(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let threads = match service::threads()? {
        Some(threads) => threads,
        None => thread::available_parallelism()?.get(),
    };
    let executor = Arc::new(Executor::new());
    for _ in 1..threads {
        let executor = executor.clone();
        thread::Builder::new()
            .name("smol".into())
            .spawn(move || smol::block_on(executor.run(pending::<()>())))?;
    }
    let service = service::serve(Smol::on(executor.clone()));
    smol::block_on(executor.run(service))
}
