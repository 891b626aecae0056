//! The service under rehearsal: found or built, started with the environment it is told by, sent its signal,
//! and watched until it has left.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, str};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::Result;
use crate::clock::Stamp;
use crate::monitor::Monitor;
use crate::options::Options;
use crate::process::{Departure, Process};

/// The service binary: what the environment names, or the example, freshly built.
pub fn find(runtime: &str) -> Result<PathBuf> {
    match env::var_os("SERVICE") {
        Some(path) => {
            let path = PathBuf::from(path);
            if path.is_file() {
                Ok(path)
            } else {
                Err(format!("SERVICE names {}, which is no file", path.display()).into())
            }
        }
        None => build(&format!("service_{runtime}")),
    }
}

/// Has cargo build the example, in the profile of the rehearsal itself. Its diagnostics go straight to the
/// terminal.
fn build(example: &str) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--message-format=json-render-diagnostics", "--example", example])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit());
    // What `cargo run` tells us is about this package; passed on, it makes build scripts run again.
    for (name, _) in env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().map_err(|e| format!("cannot run {}: {e}", cargo.to_string_lossy()))?;
    if !output.status.success() {
        return Err(format!("cannot build example {example}: cargo ended with {}", output.status).into());
    }
    executable(str::from_utf8(&output.stdout)?, example)
        .ok_or_else(|| format!("cargo built example {example} but named no executable").into())
}

/// The path in cargo's messages at which it put `example`.
fn executable(messages: &str, example: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        target: Option<Target>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.target.as_ref().is_some_and(|target| target.name == example))
        .find_map(|message| message.executable)
}

pub struct Service {
    process: Process,
    address: SocketAddr,
}

impl Service {
    pub fn start(binary: &Path, options: &Options, monitor: &Monitor, log: &Path) -> Result<Self> {
        let mut command = Command::new(binary);
        command
            .env("PORT", "0")
            .env("GRACE", options.grace.as_secs_f64().to_string())
            .env("THREADS", options.threads.to_string())
            .env("SINK_URL", monitor.url())
            .env("JOB_LOG", log);
        let mut process = Process::start("the service", &mut command)?;
        let address = process.listening()?;
        Ok(Self { process, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends SIGTERM; the stamp is from just before.
    pub fn terminate(&self) -> Result<Stamp> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or("the service has no usable process id")?;
        let signal = Stamp::now();
        kill_process(pid, Signal::TERM).map_err(|e| format!("cannot send SIGTERM to the service: {e}"))?;
        Ok(signal)
    }

    pub fn departed(&mut self) -> Result<Option<Departure>> {
        self.process.departed()
    }

    pub fn kill(&mut self) -> Result<Departure> {
        self.process.kill()
    }

    /// What it wrote about itself on stderr; only after it has left.
    pub fn report(&mut self) -> String {
        self.process.complaints()
    }

    pub fn last_words(&mut self) -> String {
        self.process.last_words()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_that_of_the_example_and_no_other() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/x/other"}
{"reason":"compiler-artifact","target":{"name":"service_tokio"},"executable":"/x/service_tokio"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "service_tokio"), Some("/x/service_tokio".into()));
        assert_eq!(executable(messages, "service_smol"), None);
    }
}
