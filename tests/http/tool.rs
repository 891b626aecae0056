//! Clients that others wrote, as processes: what they make of an answer is what counts.

use std::{
    io::{ErrorKind, Write},
    process::{Child, Command, Stdio},
    thread,
};

use super::Reply;

/// A running client. It gives up by itself long after any shutdown here, and is killed when this is dropped.
#[derive(Debug)]
pub struct Tool {
    name: &'static str,
    /// `None` once it was waited for.
    process: Option<Child>,
}

/// How a client ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// All that it printed.
    pub out: Vec<u8>,
    /// All that it complained about.
    pub complaints: String,
}

impl Tool {
    /// Starts `curl` with these arguments, to print heads and bodies as they came, and this on its stdin.
    ///
    /// # Panics
    ///
    /// When it is not installed.
    pub fn curl(arguments: &[&str], input: Vec<u8>) -> Self {
        let always = ["-q", "-sS", "-i", "--raw", "--noproxy", "*", "--max-time", "30"];
        Self::start("curl", Command::new("curl").args(always).args(arguments), input)
    }

    /// Starts this program in Python, with these arguments.
    ///
    /// # Panics
    ///
    /// When it is not installed.
    pub fn python(program: &str, arguments: &[&str]) -> Self {
        let command = &mut Command::new("python3");
        Self::start("python3", command.args(["-I", "-c", program]).args(arguments), Vec::new())
    }

    fn start(name: &'static str, command: &mut Command, input: Vec<u8>) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => {
                panic!("{name} is not installed: these tests need it (apt-get install {name})")
            }
            _ => panic!("starting {name}: {error}"),
        });
        let mut stdin = process.stdin.take().expect("stdin is piped");
        // It may not want all of it.
        thread::spawn(move || drop(stdin.write_all(&input)));
        Tool { name, process: Some(process) }
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it was ended by a signal.
    pub fn end(mut self) -> Said {
        let process = self.process.take().expect("it is waited for once");
        let output = process.wait_with_output().expect("it is our own child");
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        let code = code.unwrap_or_else(|| panic!("{}: {}: {complaints}", self.name, output.status));
        Said { code, out: output.stdout, complaints }
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Said {
    /// The one answer that `curl` printed and was content with.
    ///
    /// # Panics
    ///
    /// When it was not, or there is more.
    pub fn reply(&self, method: &str) -> Reply {
        assert_eq!(self.code, 0, "{self}");
        let (reply, length) =
            Reply::parse(&self.out, method, true).unwrap_or_else(|| panic!("no answer: {self}"));
        assert_eq!((reply.is_whole, length), (true, self.out.len()), "{self}");
        reply
    }

    /// What a program printed as JSON, once it was done and had nothing to complain about.
    ///
    /// # Panics
    ///
    /// When it had, or that is none.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!((self.code, &*self.complaints), (0, ""), "{self}");
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = String::from_utf8_lossy(&self.out[..self.out.len().min(2000)]);
        write!(f, "code {}, {shown:?}, {}", self.code, self.complaints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(
        expected = "sundown-none is not installed: these tests need it (apt-get install sundown-none)"
    )]
    fn what_is_not_installed_is_named() {
        Tool::start("sundown-none", &mut Command::new("sundown-none"), Vec::new());
    }
}
