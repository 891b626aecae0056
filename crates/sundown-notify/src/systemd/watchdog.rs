//! The watchdog: who asks for it, and the thread that feeds it.

use std::{
    ffi::OsString,
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use super::socket::Manager;

/// How often this process is to say that it is alive; `None` if nobody asks it to. By
/// [`sd_watchdog_enabled`](https://www.freedesktop.org/software/systemd/man/latest/sd_watchdog_enabled.html).
pub(super) fn interval(
    variables: impl Fn(&str) -> Option<OsString>,
    this_process: u32,
) -> Option<Result<Duration, String>> {
    let number = |name: &str| {
        let text = variables(name)?;
        let number = text.to_str().and_then(|text| text.parse::<u64>().ok());
        Some(number.ok_or_else(|| format!("{name} is {text:?}, no number")))
    };
    let usec = number("WATCHDOG_USEC")?;
    let is_meant = match number("WATCHDOG_PID") {
        None => true,
        Some(Ok(pid)) => pid == u64::from(this_process),
        Some(Err(why)) => return Some(Err(why)),
    };
    is_meant.then_some(match usec {
        Ok(0) => Err("WATCHDOG_USEC is 0".into()),
        usec => usec.map(Duration::from_micros),
    })
}

/// Feeds it twice in every interval, as that page recommends, until what is returned is dropped.
pub(super) fn feed(
    manager: Arc<Manager>,
    interval: Duration,
    is_healthy: Arc<dyn Fn() -> bool + Send + Sync>,
) -> io::Result<Sender<()>> {
    let (until, over) = mpsc::channel();
    let run = move || {
        loop {
            if is_healthy() {
                // What could not be said now is said again in half an interval, in time.
                let _ = manager.tell("WATCHDOG=1");
            }
            if over.recv_timeout(interval / 2) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    };
    thread::Builder::new().name("sundown-watchdog".into()).spawn(run)?;
    Ok(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(usec: &str, pid: Option<&str>) -> Option<Result<Duration, String>> {
        let variables = |name: &str| match name {
            "WATCHDOG_USEC" => Some(OsString::from(usec)),
            _ => pid.map(OsString::from),
        };
        interval(variables, 17)
    }

    #[test]
    fn only_the_process_that_is_meant_feeds_the_watchdog() {
        let second = Some(Ok(Duration::from_secs(1)));
        assert_eq!(asked("1000000", None), second);
        assert_eq!(asked("1000000", Some("17")), second);
        assert_eq!(asked("1000000", Some("18")), None);
        assert_eq!(interval(|_| None, 17), None);
    }

    #[test]
    fn what_is_no_interval_is_an_error_by_name() {
        assert_eq!(asked("soon", None), Some(Err("WATCHDOG_USEC is \"soon\", no number".into())));
        assert_eq!(asked("0", None), Some(Err("WATCHDOG_USEC is 0".into())));
        assert_eq!(asked("1", Some("me")), Some(Err("WATCHDOG_PID is \"me\", no number".into())));
    }
}
