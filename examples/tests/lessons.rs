//! Runs every lesson as a process of its own, and compares what it prints with `expected/NAME.txt`.
//!
//! The programs are those that cargo builds beside this test: `cargo test` builds the examples of a package before it
//! runs anything, into `examples/` next to the folder of the tests. (`cargo test --test lessons` alone builds
//! none: `cargo build --examples` comes first.) With `BLESS=1` in the environment what is printed becomes what is
//! expected.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    collections::BTreeSet,
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// Far more than any lesson takes, far less than for ever.
const BOUND: Duration = Duration::from_secs(20);

/// What is checked though it is no numbered lesson.
const MORE: &[&str] = &["your_own_runtime"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the files in a folder that end so, without the ending.
fn stems(folder: &Path, ending: &str) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect()
}

fn lessons() -> BTreeSet<String> {
    let numbered = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
    stems(here(), ".rs")
        .into_iter()
        .filter(numbered)
        .chain(MORE.iter().map(|name| (*name).to_owned()))
        .collect()
}

fn built(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(program.exists(), "{name} was not built: cargo build --examples");
    program
}

fn run(name: &str) -> Output {
    let mut child = Command::new(built(name))
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (send, ended) = mpsc::channel();
    let readers = [read(child.stdout.take().unwrap(), &send), read(child.stderr.take().unwrap(), &send)];
    // Both pipes end with the process, which is reaped by nobody but us.
    let in_time = readers.iter().all(|_| ended.recv_timeout(BOUND).is_ok());
    if !in_time {
        child.kill().unwrap();
        panic!("{name} was still there after {BOUND:?}");
    }
    let [stdout, stderr] = readers.map(|reader| reader.join().unwrap());
    Output { status: child.wait().unwrap(), stdout, stderr }
}

/// Reads a pipe to its end, and then says so.
fn read(mut pipe: impl Read + Send + 'static, ended: &mpsc::Sender<()>) -> JoinHandle<Vec<u8>> {
    let ended = ended.clone();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        let _ = ended.send(());
        bytes
    })
}

/// What differs, line by line: all that lies between the first and the last difference.
fn differences(expected: &str, printed: &str) -> Option<String> {
    if expected == printed {
        return None;
    }
    let (expected, printed): (Vec<_>, Vec<_>) = (expected.lines().collect(), printed.lines().collect());
    let same = expected.iter().zip(&printed).take_while(|(a, b)| a == b).count();
    let (lost, new) = (&expected[same..], &printed[same..]);
    let end = lost.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let marked =
        |mark, lines: &[&str]| lines.iter().map(|line| format!("    {mark} {line}\n")).collect::<String>();
    let (lost, new) = (marked('-', &lost[..lost.len() - end]), marked('+', &new[..new.len() - end]));
    Some(format!("  from line {} on (- expected, + printed):\n{lost}{new}", same + 1))
}

#[test]
fn every_lesson_has_an_expectation_and_every_expectation_a_lesson() {
    assert_eq!(lessons(), stems(&here().join("expected"), ".txt"));
}

#[test]
fn every_lesson_prints_what_is_expected() {
    let mut wrong = String::new();
    for name in lessons() {
        let Output { status, stdout, stderr } = run(&name);
        let (printed, complaints) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr));
        let file = here().join("expected").join(format!("{name}.txt"));
        if env::var_os("BLESS").is_some() {
            fs::write(&file, &printed).unwrap();
        }
        if let Some(differences) = differences(&fs::read_to_string(&file).unwrap_or_default(), &printed) {
            wrong += &format!("{name} prints something else\n{differences}");
        }
        if !status.success() || !complaints.is_empty() {
            wrong += &format!("{name} ended with {status} and said on stderr:\n{complaints}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_difference_is_shown_with_its_place() {
    assert_eq!(differences("a\nb\nc\n", "a\nb\nc\n"), None);
    let shown = differences("a\nb\nc\n", "a\nx\ny\nc\n").unwrap();
    assert_eq!(shown, "  from line 2 on (- expected, + printed):\n    - b\n    + x\n    + y\n");
}
