//! Child processes as components: real ones.

#![allow(clippy::unwrap_used)] // nothing here but a test

use std::{
    io::{BufRead, BufReader, Read},
    process::{ChildStdout, Command, Stdio},
    time::Duration,
};

use sundown::{ChildProcess, Drainable, Outcome, Report, Shutdown, Signal};
use sundown_tokio::Tokio;

/// A shell that runs this, and what it prints.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdout(Stdio::piped());
    command
}

/// The component of a shell, once that has printed a line.
fn started(script: &str) -> (ChildProcess, BufReader<ChildStdout>) {
    let mut child = shell(script).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    assert!(out.read_line(&mut String::new()).unwrap() > 0);
    (ChildProcess::new(child).unwrap(), out)
}

/// Shuts it down; hurried on to the claim, if nothing else ends its drain.
async fn shut_down(component: impl Drainable, hurried: bool) -> Report {
    let builder = Shutdown::embedded(Tokio::current()).component("child", component);
    let shutdown = builder.grace(Duration::from_secs(60)).start().unwrap();
    shutdown.begin("a test");
    if hurried {
        shutdown.hurry();
    }
    shutdown.finished().await
}

fn note(report: &Report, what: &str) -> Option<u64> {
    report.components[0].notes.iter().find(|(noted, _)| noted == what).map(|(_, count)| *count)
}

#[tokio::test]
async fn a_process_is_told_and_waited_for() {
    let (child, mut out) = started("trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    let report = shut_down(child, false).await;
    assert!(report.is_clean(), "{report}");
    assert!(matches!(report.components[0].drained, Outcome::Done(_)), "{report}");
    assert_eq!((note(&report, "exit code"), note(&report, "ended by signal")), (Some(7), None));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "told\n");
}

#[tokio::test]
async fn it_may_be_told_by_another_signal() {
    // None that a shell's background jobs ignore: what is ignored when a shell starts it cannot trap.
    let (child, _out) = started("trap 'exit 8' USR1; echo ready; while :; do sleep 0.01; done");
    let report = shut_down(child.told_by(Signal::Usr1), false).await;
    assert_eq!(note(&report, "exit code"), Some(8), "{report}");
}

#[tokio::test]
async fn a_process_that_does_not_end_is_killed_at_the_claim_and_lost() {
    let (child, mut out) = started("trap '' TERM; echo ready; exec sleep 1000");
    let report = shut_down(child, true).await;
    assert_eq!(note(&report, "ended by signal"), Some(9), "{report}");
    assert!(!report.is_clean() && report.components[0].lost == 1, "{report}");
    let straggler = &report.components[0].stragglers.as_ref().unwrap().units()[0];
    assert!(straggler.name.starts_with("process ") && straggler.age.is_some(), "{report}");
    out.read_to_string(&mut String::new()).unwrap();
}

#[tokio::test]
async fn one_that_was_waited_for_before_has_ended_and_its_number_is_left_alone() {
    let mut child = shell("exit 3").spawn().unwrap();
    child.wait().unwrap();
    let child = ChildProcess::new(child).unwrap();
    assert_eq!(child.in_flight().total(), Some(0), "at once: nothing need be asked of the system");
    let report = shut_down(child, false).await;
    assert!(report.is_clean() && note(&report, "exit code") == Some(3), "{report}");
}

#[tokio::test]
async fn a_process_that_ends_by_itself_is_known_and_reaped_before_any_shutdown() {
    let child = ChildProcess::new(shell("exit 3").spawn().unwrap()).unwrap();
    let status = child.ended().await.unwrap();
    assert_eq!((status.code(), child.status()), (Some(3), Some(status)));
    assert_eq!(child.in_flight().total(), Some(0));
    assert_gone(child.id());
    let report = shut_down(child, false).await;
    assert!(report.is_clean() && note(&report, "exit code") == Some(3), "{report}");
}

/// It has been reaped: not even a zombie has its number.
fn assert_gone(id: u32) {
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "{id} has not been reaped");
}

#[tokio::test]
async fn a_process_that_nobody_wants_to_know_of_any_more_is_reaped_all_the_same() {
    let (child, out) = started("echo ready; exec sleep 1000");
    let (id, ended) = (child.id(), child.ended());
    drop(child);
    assert!(std::path::Path::new(&format!("/proc/{id}")).exists(), "it goes on");
    drop(out);
    let pid = rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(ended.await.unwrap().code(), None);
    assert_gone(id);
}

#[tokio::test]
async fn a_group_is_told_and_killed_as_a_whole() {
    // The leader ends when it is told; what it has started does not, and keeps the output open.
    let stubborn = "trap '' TERM; echo ready; exec sleep 1000";
    let script = format!("trap 'exit 0' TERM; sh -c \"{stubborn}\" & wait");
    let mut command = shell(&script);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    let child = ChildProcess::group(&mut command).unwrap();
    drop(command);
    let mut out = BufReader::new(reader);
    assert!(out.read_line(&mut String::new()).unwrap() > 0);
    let id = child.id();
    let report = shut_down(child, false).await;
    assert!(report.is_clean() && note(&report, "exit code") == Some(0), "{report}");
    // Whoever was left is dead: nobody has the other end any more.
    out.read_to_string(&mut String::new()).unwrap();
    assert_gone(id);
}

#[tokio::test]
async fn each_call_may_come_again_and_without_the_others() {
    let (child, mut out) = started("trap '' TERM; echo ready; exec sleep 1000");
    child.force();
    child.force();
    out.read_to_string(&mut String::new()).unwrap();
    assert_eq!(child.ended().await.unwrap().code(), None);
    assert_gone(child.id());
    // Its number may be somebody else's by now.
    child.force();
    child.drained().await;
}

#[test]
fn whoever_holds_one_may_move_it() {
    fn holds<T: Send + Sync + Unpin>() {}
    holds::<ChildProcess>();
}
