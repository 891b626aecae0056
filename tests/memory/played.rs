//! A limit that a thread plays: the files are made up, the use is real, and so is the kill.

use std::{
    env, fs,
    os::unix::fs::FileExt,
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Limit;

/// How old the files may be: much less than the time between two looks at them.
const EVERY: Duration = Duration::from_millis(5);

pub(super) struct Played {
    root: PathBuf,
    limit: u64,
    use_of_process: Arc<Use>,
    keeper: Option<(Sender<()>, JoinHandle<()>)>,
}

/// In bytes.
#[derive(Default)]
struct Use {
    resident: AtomicU64,
    cache: AtomicU64,
}

impl Played {
    pub(super) fn new(limit: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("sundown-limit-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = env::temp_dir().join(name);
        let write = |file: &str, text: &str| fs::write(root.join(file), text).expect("it can be written");
        fs::create_dir_all(root.join("proc/self")).expect("there is room");
        fs::create_dir_all(root.join("group/app")).expect("there is room");
        write("proc/self/cgroup", "0::/app\n");
        write("proc/self/mountinfo", "31 23 0:28 / /group rw - cgroup2 cgroup2 rw\n");
        write("group/app/memory.max", &format!("{limit}\n"));
        write("group/app/memory.current", &format!("{:020}\n", 0));
        write("group/app/memory.stat", &format!("inactive_file {:020}\n", 0));
        Played { root, limit, use_of_process: Arc::default(), keeper: None }
    }
}

impl Limit for Played {
    fn root(&self) -> String {
        self.root.to_str().expect("it is ours").to_owned()
    }

    fn adopt(&mut self, pid: Pid) {
        let open = |name| fs::File::options().write(true).open(self.root.join("group/app").join(name));
        let (current, stat) = (open("memory.current"), open("memory.stat"));
        let (current, stat) = (current.expect("it is there"), stat.expect("it is there"));
        // It means this process, even when that is gone.
        let process = pidfd_open(pid, PidfdFlags::empty()).expect("it is our child");
        let status = fs::File::open(format!("/proc/{}/status", pid.as_raw_nonzero())).expect("it is there");
        let (limit, of_process) = (self.limit, self.use_of_process.clone());
        let (stop, stopped) = mpsc::channel::<()>();
        let keep = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let Some(resident) = resident(&status) else { return };
                of_process.resident.store(resident, Ordering::Relaxed);
                if resident >= limit {
                    let _ = pidfd_send_signal(&process, Signal::KILL);
                    return;
                }
                // What does not fit is taken back. In place and of one length, so that no reader sees half of it.
                let cache = of_process.cache.load(Ordering::Relaxed).min(limit - resident);
                let inactive = format!("inactive_file {cache:020}\n");
                let _ = stat.write_all_at(inactive.as_bytes(), 0);
                let _ = current.write_all_at(format!("{:020}\n", resident + cache).as_bytes(), 0);
            }
        };
        self.keeper = Some((stop, thread::spawn(keep)));
    }

    fn cached(&self, bytes: u64) {
        self.use_of_process.cache.store(bytes, Ordering::Relaxed);
    }

    fn working_set(&self) -> u64 {
        self.use_of_process.resident.load(Ordering::Relaxed)
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if let Some((stop, keeper)) = self.keeper.take() {
            drop(stop);
            let _ = keeper.join();
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// What a process has in memory; `None` once it is gone.
fn resident(status: &fs::File) -> Option<u64> {
    let mut buffer = [0; 4096];
    let length = status.read_at(&mut buffer, 0).ok()?;
    let text = std::str::from_utf8(&buffer[..length]).ok()?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Some(kibibytes?.parse::<u64>().ok()? << 10)
}
