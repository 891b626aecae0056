//! What a watch has found.

use std::{fmt, path::PathBuf};

use crate::{Trouble, level::Level};

/// What a watch has found at its start. Its text is a line for a log.
///
/// Limits may change while it runs, and it follows them; this does not.
#[derive(Debug)]
#[non_exhaustive]
pub enum Status {
    /// There is a limit.
    Limited {
        /// The smallest of those above this process, in bytes. All of them are watched.
        limit: u64,
        /// The directory of the control group that has it. In version 1 one further up may have it, seen or not: then this
        /// is the innermost that is under it.
        group: PathBuf,
    },
    /// There is none. One that is set later will be watched.
    Unlimited,
    /// Nothing is watched.
    Off(Trouble),
}

impl Status {
    pub(crate) fn of(levels: &[Level]) -> Self {
        // What cannot be read is for the watch to tell.
        let limit = |level: &Level| Some((level.read().ok()??.limit, level.dir().to_owned()));
        match levels.iter().filter_map(limit).min_by_key(|(limit, _)| *limit) {
            Some((limit, group)) => Status::Limited { limit, group },
            None => Status::Unlimited,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Limited { limit, group } => {
                write!(f, "memory is limited to {} MiB by {}", limit >> 20, group.display())
            }
            Status::Unlimited => f.write_str("memory is not limited"),
            Status::Off(trouble) => write!(f, "memory is not watched: {trouble}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{level::Version, tree::Tree};

    #[test]
    fn in_version_1_the_innermost_group_under_a_limit_stands_for_whose_it_is() {
        let tree = Tree::new();
        let level = |group: &str, limit: &str| {
            tree.write(&format!("{group}/memory.limit_in_bytes"), limit);
            tree.write(&format!("{group}/memory.usage_in_bytes"), "10\n");
            tree.write(
                &format!("{group}/memory.stat"),
                "hierarchical_memory_limit 100\ntotal_inactive_file 0\n",
            );
            Level::open(tree.path(group), Version::One).expect("the files are there")
        };
        let levels = [level("kube/pod", "9223372036854771712\n"), level("kube", "100\n")];
        let Status::Limited { limit, group } = Status::of(&levels) else { panic!("it is limited") };
        assert_eq!((limit, group), (100, tree.path("kube/pod")));
    }
}
