//! The watch's thread sleeps and looks: it allocates nothing, and whoever ends it does not wait for its next look. In a
//! program of its own, since every allocation of the process is counted and the thread is found by its name.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

mod tree;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use dhat::{HeapStats, Profiler};
use sundown::{Gate, Shutdown};
use sundown_memory::MemoryWatch;
use sundown_tokio::Tokio;

use self::tree::Tree;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const LOOKS: u64 = 30;
const BOUND: Duration = Duration::from_secs(30);

/// Much less than the five seconds between two looks where nothing is limited.
const AT_ONCE: Duration = Duration::from_secs(2);

fn main() {
    let _profiler = Profiler::builder().testing().build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone())).component("gate", Gate::new());
    let shutdown = shutdown.grace(Duration::from_secs(10)).start().unwrap();

    it_allocates_nothing(&shutdown);
    it_ends_at_once_when_it_is_dropped(&shutdown);
    it_ends_at_once_with_the_shutdown(&shutdown);
}

fn it_allocates_nothing(shutdown: &Shutdown) {
    let tree = Tree::with_group("268435456", 200 << 20, 10 << 20);
    let watch = MemoryWatch::at(tree.root()).start(shutdown).unwrap();
    let looks = Looks::of_the_watch();
    looks.wait_for(2);
    let before = HeapStats::get();
    looks.wait_for(LOOKS);
    let after = HeapStats::get();
    drop(watch);
    wait_until(|| watching().is_none());
    println!("{} allocations in {LOOKS} looks", after.total_blocks - before.total_blocks);
    assert_eq!(after.total_blocks, before.total_blocks);
    assert!(!shutdown.watch().is_draining());
}

fn it_ends_at_once_when_it_is_dropped(shutdown: &Shutdown) {
    let tree = Tree::with_group("max", 0, 0);
    let watch = MemoryWatch::at(tree.root()).start(shutdown).unwrap();
    Looks::of_the_watch().wait_until_asleep();
    let dropped = Instant::now();
    drop(watch);
    wait_until(|| watching().is_none());
    assert!(dropped.elapsed() < AT_ONCE, "{:?}", dropped.elapsed());
}

fn it_ends_at_once_with_the_shutdown(shutdown: &Shutdown) {
    let tree = Tree::with_group("max", 0, 0);
    let (tell, ended) = mpsc::channel::<()>();
    let watch = MemoryWatch::at(tree.root()).on_trouble(move |_| drop(tell.clone()));
    let _watch = watch.start(shutdown).unwrap();
    Looks::of_the_watch().wait_until_asleep();
    shutdown.begin("a test");
    assert_eq!(ended.recv_timeout(AT_ONCE), Err(RecvTimeoutError::Disconnected));
}

/// How often a thread of this process has gone to sleep, read without an allocation.
struct Looks(File);

impl Looks {
    fn of_the_watch() -> Self {
        let mut task = None;
        wait_until(|| {
            task = watching();
            task.is_some()
        });
        Looks(File::open(task.unwrap().path().join("status")).unwrap())
    }

    fn so_far(&self) -> u64 {
        let count = self.line(b"voluntary_ctxt_switches:", |count| {
            count.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
        });
        count.unwrap()
    }

    /// What a line of the thread's status says; `None` once it is gone.
    fn line<T>(&self, name: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut buffer = [0; 4096];
        let length = self.0.read_at(&mut buffer, 0).ok()?;
        let mut lines = buffer[..length].split(|byte| *byte == b'\n');
        lines.find_map(|line| line.strip_prefix(name)).map(|text| read(text.trim_ascii()))
    }

    fn wait_for(&self, more: u64) {
        let until = self.so_far() + more;
        wait_until(|| self.so_far() >= until);
    }

    /// It has been asleep twice in a row at the same count: that is no short wait.
    fn wait_until_asleep(&self) {
        let mut before = None;
        wait_until(|| {
            let asleep = self.line(b"State:", |state| state.starts_with(b"S")).unwrap();
            let count = Some(self.so_far()).filter(|_| asleep);
            let stays = count.is_some() && count == before;
            before = count;
            stays
        });
    }
}

/// The watch's thread; a thread names itself, so it may come late.
fn watching() -> Option<fs::DirEntry> {
    let named = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|found| found.trim_end() == "sundown-memory")
    };
    fs::read_dir("/proc/self/task").unwrap().flatten().find(named)
}

/// There is no event for what another thread does or does not: it is looked at again and again.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < BOUND, "it is not so after {BOUND:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
