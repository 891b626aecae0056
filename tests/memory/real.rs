//! A limit of the kernel's, in a control group below our own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::process::Pid;

use super::Limit;

/// Where the hierarchies are on every system that has a name for them.
const MOUNTS: [(&str, &str, Files); 3] =
    [("memory", "/sys/fs/cgroup/memory", V1), ("", "/sys/fs/cgroup", V2), ("", "/sys/fs/cgroup/unified", V2)];

/// What the files are called: the limit, the use, and the name of what can be taken back.
type Files = [&'static str; 3];
const V1: Files = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];
const V2: Files = ["memory.max", "memory.current", "inactive_file "];

pub(super) struct Real {
    group: PathBuf,
    files: Files,
}

impl Real {
    /// `None` where we may have no group of our own: then it says so.
    pub(super) fn new(limit: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = |controller: &str| {
            let mut lines = own.lines().map(|line| line.splitn(3, ':'));
            lines.find_map(|mut line| (line.nth(1)? == controller).then(|| line.next())?)
        };
        let below = |mount: &str, path: &str| Path::new(mount).join(path.trim_start_matches('/'));
        let real = MOUNTS.into_iter().find_map(|(controller, mount, files)| {
            Self::below(&below(mount, path(controller)?), files, limit).ok()
        });
        if real.is_none() {
            println!("no control group of one's own here: nothing was seen of a real limit");
        }
        real
    }

    fn below(own: &Path, files: Files, limit: u64) -> io::Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sundown-test-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let group = own.join(name);
        fs::create_dir(&group)?;
        let real = Real { group, files };
        // Not there, where the controller is not ours to use.
        let file = real.group.join(files[0]);
        fs::File::options().write(true).open(&file)?;
        fs::write(file, limit.to_string())?;
        Ok(real)
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.group.join(file)).unwrap_or_default()
    }
}

impl Limit for Real {
    fn root(&self) -> String {
        "/".to_owned()
    }

    fn adopt(&mut self, pid: Pid) {
        let pid = pid.as_raw_nonzero().to_string();
        fs::write(self.group.join("cgroup.procs"), pid).expect("both are ours");
    }

    fn cached(&self, _: u64) {}

    fn working_set(&self) -> u64 {
        let stat = self.read("memory.stat");
        let inactive = stat.lines().find_map(|line| line.strip_prefix(self.files[2])?.parse::<u64>().ok());
        let usage = self.read(self.files[1]).trim().parse::<u64>().unwrap_or_default();
        usage.saturating_sub(inactive.unwrap_or_default())
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // Its process is gone; what is left of it in the group may take the kernel a moment.
        for _ in 0..100 {
            match fs::remove_dir(&self.group) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::yield_now(),
                _ => return,
            }
        }
    }
}
