//! Begins a [`sundown`] shutdown before the kernel kills the process at its memory limit.
//!
//! The kernel gives no notice: at the limit of a control group comes SIGKILL, and jobs and clients are lost. A
//! [`MemoryWatch`] sees it come, in time to hand unfinished jobs over:
//!
//! ```
//! # use std::time::Duration;
//! use sundown::{Jobs, Shutdown};
//! use sundown_memory::MemoryWatch;
//! use sundown_tokio::Tokio;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let jobs = Jobs::<String>::new();
//! let shutdown = Shutdown::embedded(Tokio::current()) // a service's own is `Shutdown::process`
//!     .component("jobs", jobs.clone())
//!     .grace(Duration::from_secs(10))
//!     .start()?;
//! let _watch = MemoryWatch::new().start(&shutdown)?; // this is all
//! # Ok(()) }
//! ```
//!
//! # What it looks at
//!
//! * **The limits**: those of the control group that the process is in and of all above it that can be seen, version 2
//!   (`memory.max`) or 1 (`memory.limit_in_bytes`). Each is watched, since each kills. They are read again with every
//!   look: a limit may be changed, set or lifted at any time.
//! * **The working set**: what the group uses, less the file pages that are not in active use, which the kernel takes back
//!   before it kills. So the page cache of a large download is no alarm. It is what Kubernetes evicts by, too.
//! * **The pace**: growth averaged over half a second. It is an alarm when at this pace less time is left than the hand-over
//!   needs ([`lead`](MemoryWatch::lead)), or when the working set has come to 95 % of the limit
//!   ([`full_at`](MemoryWatch::full_at)), and another look confirms it.
//!
//! It looks twenty times a second from 60 % of the limit on, and below that only so often that what is left cannot be filled
//! unnoticed, at 1000 MiB a second: twice a second where 1000 MiB are left, once in five seconds where there are ten
//! times as many. A look reads three files for each group, which are kept open: some 10 µs, and no allocation.
//!
//! # What it does
//!
//! First it gives back its [ballast](MemoryWatch::ballast), some pages that were held for nothing else, so that notifiers
//! have memory to work with. Then it [begins](sundown::Handle::begin) the shutdown and [hurries](sundown::Handle::hurry)
//! it: nobody waits for the drain, jobs are handed over first. A shutdown that was draining already is hurried. What else
//! the shutdown does comes after that, if the process lives: it stops growing, or it does not.
//!
//! # What it cannot see
//!
//! * Limits above the root of a namespace of control groups: on Cloud Run the limit is the instance's, over all of its
//!   containers and its in-memory files.
//! * A machine that has no memory left: no limit is reached then.
//! * File pages in active use count, as if they could not be taken back. Where most of a large limit is page cache that is
//!   read again and again, [`full_at`](MemoryWatch::full_at) is to be set higher.
//! * A group that the process is moved to after the start.
//!
//! With swap it raises the alarm before the swap is used.
//!
//! # Trying it
//!
//! [`MemoryWatch::at`] takes the files from below a directory, which a test fills:
//!
//! ```
//! # use std::{fs, time::Duration};
//! # use sundown::{Reason, Shutdown};
//! # use sundown_memory::{MemoryWatch, Status};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = std::env::temp_dir().join(format!("sundown-memory-doc-{}", std::process::id()));
//! fs::create_dir_all(root.join("proc/self"))?;
//! fs::write(root.join("proc/self/cgroup"), "0::/\n")?;
//! fs::write(root.join("proc/self/mountinfo"), "31 23 0:28 / /cg rw - cgroup2 cgroup2 rw\n")?;
//! fs::create_dir_all(root.join("cg"))?;
//! fs::write(root.join("cg/memory.max"), "536870912\n")?; // 512 MiB
//! fs::write(root.join("cg/memory.current"), "530000000\n")?;
//! fs::write(root.join("cg/memory.stat"), "inactive_file 4096\n")?;
//!
//! # let grace = Duration::from_secs(10);
//! let shutdown = Shutdown::embedded(sundown_tokio::Tokio::current()).grace(grace).start()?;
//! let watch = MemoryWatch::at(&root).start(&shutdown)?;
//! assert!(matches!(watch.status(), Status::Limited { limit: 536_870_912, .. }));
//! let report = shutdown.finished().await;
//! assert_eq!(report.reason, Reason::Memory);
//! # drop(watch);
//! # fs::remove_dir_all(root)?;
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod watch;

mod status;
mod trouble;

mod forecast;
mod sentry;

mod counter;
mod hierarchy;
mod level;
mod membership;

#[cfg(test)]
#[path = "../tests/tree/mod.rs"]
mod tree;

pub use self::{
    status::Status,
    trouble::Trouble,
    watch::{MemoryWatch, StartError, Watching},
};
