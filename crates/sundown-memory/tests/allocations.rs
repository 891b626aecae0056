//! While it watches it allocates nothing. In a program of its own, since every allocation of the process is counted.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

mod tree;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
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

fn main() {
    let _profiler = Profiler::builder().testing().build();
    let tree = Tree::with_group("268435456", 200 << 20, 10 << 20);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::embedded(Tokio::of(runtime.handle().clone())).component("gate", Gate::new());
    let shutdown = shutdown.grace(Duration::from_secs(10)).start().unwrap();
    let watch = MemoryWatch::at(tree.root()).start(&shutdown).unwrap();

    let looks = Looks::of("sundown-memory");
    looks.wait_for(2);
    let before = HeapStats::get();
    looks.wait_for(LOOKS);
    let after = HeapStats::get();
    drop(watch);
    println!("{} allocations in {LOOKS} looks", after.total_blocks - before.total_blocks);
    assert_eq!(after.total_blocks, before.total_blocks);
    assert!(!shutdown.watch().is_draining());
}

/// How often a thread of this process has gone to sleep, read without an allocation.
struct Looks(File);

impl Looks {
    fn of(name: &str) -> Self {
        let named = |task: &fs::DirEntry| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|found| found.trim_end() == name)
        };
        let started = Instant::now();
        loop {
            // A thread names itself.
            let task = fs::read_dir("/proc/self/task").unwrap().flatten().find(named);
            if let Some(task) = task {
                return Looks(File::open(task.path().join("status")).unwrap());
            }
            assert!(started.elapsed() < BOUND, "no thread is called {name}");
            thread::yield_now();
        }
    }

    fn so_far(&self) -> u64 {
        let mut buffer = [0; 4096];
        let length = self.0.read_at(&mut buffer, 0).unwrap();
        let mut lines = buffer[..length].split(|byte| *byte == b'\n');
        let count = lines.find_map(|line| line.strip_prefix(b"voluntary_ctxt_switches:")).unwrap();
        count.trim_ascii().iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
    }

    fn wait_for(&self, more: u64) {
        let (until, started) = (self.so_far() + more, Instant::now());
        while self.so_far() < until {
            assert!(started.elapsed() < BOUND, "it does not look");
            // There is no event for it: whatever is counted is somebody else's sleep.
            thread::sleep(Duration::from_millis(5));
        }
    }
}
