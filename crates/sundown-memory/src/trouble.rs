//! What keeps a watch from seeing.

use std::{io, path::PathBuf};

/// Why memory is not watched, or one of its limits is not seen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// This process is in no control group that counts its memory, or none that it can see. So it is on a system without
    /// them, and in some sandboxes.
    #[error("no control group that counts this process's memory can be seen")]
    NoGroup,
    /// A file that says in which control group this process is cannot be read.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file of a control group cannot be read: not at the moment, or not any more. Other groups are watched still.
    #[error("the limit of {} is not seen: {file} cannot be read: {error}", group.display())]
    Unseen {
        /// The directory of the group.
        group: PathBuf,
        /// The name of the file in it.
        file: &'static str,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file of a control group holds something else than the kernel writes. Other groups are watched still.
    #[error("the limit of {} is not seen: {file} holds no number that a control group would write", group.display())]
    Garbage {
        /// The directory of the group.
        group: PathBuf,
        /// The name of the file in it.
        file: &'static str,
    },
}
