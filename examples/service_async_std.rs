//! The same service on async-std, which is discontinued: see `service/mod.rs`.
//!
//! ```text
//! PORT=8080 SINK_URL=http://127.0.0.1:9000/ cargo run --example service_async_std
//! ```

#![forbid(unsafe_code)]
#![allow(unreachable_pub)] // a program has no outside

mod service;

use std::{
    env,
    error::Error,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use sundown_async_std::AsyncStd;

/// What async-std itself reads, once, when it starts.
const ITS_THREADS: &str = "ASYNC_STD_THREAD_COUNT";

fn main() -> ExitCode {
    service::report(run())
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    match service::threads()? {
        Some(threads) if env::var_os(ITS_THREADS).is_none() => {
            // The same process, begun again with what it should have been told.
            let mut again = Command::new(env::current_exe()?);
            Err(again.args(env::args_os().skip(1)).env(ITS_THREADS, threads.to_string()).exec().into())
        }
        _ => async_std::task::block_on(service::serve(AsyncStd)),
    }
}
