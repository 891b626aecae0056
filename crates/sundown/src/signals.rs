//! Signals, on a plain thread under no runtime: the one piece of process-wide state in the crate, with the mark of who
//! owns it.
//!
//! What is kept true:
//!
//! 1. **A signal that nobody listens to any more does what it would do without us.** A handler that was installed once
//!    cannot be taken away again, and with it the signal's default is gone. So beside ours there is another, from before
//!    ours is installed and for good, which does what the default does while [`Kept::acts`] says so.
//! 2. **Where the default was not in force before**, the other does nothing. Somebody else has a handler: theirs is called.
//!    The process was started with the signal ignored, as `nohup` does, or is the first of a container, which the system
//!    spares the defaults: nothing happens.
//! 3. **Between the two no signal is lost.** Whoever stops listening first lets the defaults act, then waits for the
//!    thread, which delivers what was seen before. What a shutdown cannot take any more acts by its default late.

use std::{
    collections::BTreeMap,
    fs, io, process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use signal_hook::{flag, iterator, low_level};

use crate::{
    Signal,
    host::{DynHost, Signals},
};

/// The right to own the process: its signals and its end. Given back when it is dropped.
pub(crate) struct Ownership(DynHost);

impl Ownership {
    /// `None` if somebody has it.
    pub(crate) fn claim(host: &DynHost) -> Option<Self> {
        host.own().then(|| Ownership(host.clone()))
    }

    /// Sends what arrives from now on.
    pub(crate) fn listen(&self, signals: Signals) -> io::Result<()> {
        self.0.listen(signals)
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        self.0.disown();
    }
}

/// What is process-wide.
struct Hook {
    /// Each signal that was ever listened to.
    kept: BTreeMap<Signal, Kept>,
    listener: Option<Listener>,
}

/// A signal's default, which is kept for the time after.
struct Kept {
    was_default: bool,
    /// Whether the default is what happens.
    acts: Arc<AtomicBool>,
}

struct Listener {
    handle: iterator::Handle,
    thread: JoinHandle<()>,
}

static HOOK: Mutex<Hook> = Mutex::new(Hook { kept: BTreeMap::new(), listener: None });

/// Guards who listens. Nothing foreign runs under it.
fn hook() -> MutexGuard<'static, Hook> {
    HOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hook {
    /// Keeps what this signal does without us, which it goes on doing until that is [stopped](Self::defaults_act).
    fn keep(&mut self, signal: Signal) -> io::Result<()> {
        if self.kept.contains_key(&signal) {
            return Ok(());
        }
        let (was_default, acts) = (is_default(signal), Arc::new(AtomicBool::new(true)));
        if was_default {
            flag::register_conditional_default(signal.number().into(), acts.clone())?;
        }
        self.kept.insert(signal, Kept { was_default, acts });
        Ok(())
    }

    fn defaults_act(&self, signals: &[Signal], act: bool) {
        for signal in signals {
            // SeqCst, as the handler reads it. Who sends a signal after the shutdown has started must meet its handler
            // alone: the store comes before the start is known, and so before the signal.
            self.kept[signal].acts.store(act, Ordering::SeqCst);
        }
    }
}

/// Delivers the system's signals, each with the time at which it was seen, until somebody [leaves](leave).
pub(crate) fn listen(deliver: Signals) -> io::Result<()> {
    let mut hook = hook();
    let wanted = deliver.wanted().to_vec();
    if wanted.is_empty() {
        return Ok(());
    }
    wanted.iter().try_for_each(|signal| hook.keep(*signal))?;
    let mut signals = iterator::Signals::new(wanted.iter().map(|signal| i32::from(signal.number())))?;
    let handle = signals.handle();
    let thread = thread::Builder::new().name("sundown-signals".into()).spawn(move || {
        let tell = |number| {
            let now = Instant::now();
            if let Some(signal) = Signal::from_number(number)
                && !deliver.deliver(now, signal)
            {
                act_by_default(signal);
            }
        };
        signals.forever().for_each(tell);
        // Those that were seen before the end, and not told yet.
        signals.pending().for_each(tell);
    })?;
    hook.listener = Some(Listener { handle, thread });
    hook.defaults_act(&wanted, false);
    Ok(())
}

/// Listens no longer: signals do again what they would do without us. When this returns, none is delivered any more.
pub(crate) fn leave() {
    let listener = {
        let mut hook = hook();
        let all: Vec<_> = hook.kept.keys().copied().collect();
        hook.defaults_act(&all, true);
        hook.listener.take()
    };
    if let Some(Listener { handle, thread }) = listener {
        handle.close();
        // It sends what is left, and runs nothing foreign.
        let _ = thread.join();
    }
}

/// Does what the signal would have done without us: ends the process by it, stops it, or nothing.
pub(crate) fn act_by_default(signal: Signal) {
    let was_default = hook().kept.get(&signal).map_or_else(|| is_default(signal), |kept| kept.was_default);
    if was_default {
        // An error is a signal that it does not know; all of ours are known.
        let _ = low_level::emulate_default_handler(signal.number().into());
    }
}

/// Whether nobody has a handler for it, and it is not ignored. Where the system does not say, it is so.
fn is_default(signal: Signal) -> bool {
    if process::id() == 1 {
        // `man 7 pid_namespaces`: it gets those signals only for which it has a handler.
        return false;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_default_in(&status, signal)
}

/// The same, of a process whose status is this. (`man 5 proc_pid_status`: masks in hexadecimal, the lowest bit is signal 1.)
fn is_default_in(status: &str, signal: Signal) -> bool {
    let is_set = |mask: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(mask));
        let bits = line.and_then(|bits| u128::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
        bits >> (signal.number() - 1) & 1 == 1
    };
    !is_set("SigIgn:") && !is_set("SigCgt:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ignored_or_caught_before_has_no_default_to_go_back_to() {
        // SIGHUP (1) is ignored, SIGINT (2) is caught, SIGQUIT (3) blocked only.
        let status =
            "Name:\tsh\nSigBlk:\t0000000000000004\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000002\n";
        let is_default = |signal| is_default_in(status, signal);
        assert!(!is_default(Signal::Hup) && !is_default(Signal::Int));
        assert!(is_default(Signal::Quit) && is_default(Signal::Term));
        assert!(is_default_in("", Signal::Hup), "where the system does not say");
        assert!(is_default_in("SigIgn:\tsoon\n", Signal::Hup));
    }
}
