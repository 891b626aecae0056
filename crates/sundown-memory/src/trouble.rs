//! What keeps a watch from seeing.

use std::{io, path::PathBuf};

/// Why memory is not watched, or not at the moment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// This process is in no control group that counts its memory, or none that it can see. So it is on a system without
    /// them, and in some sandboxes.
    #[error("no control group that counts this process's memory can be seen")]
    NoGroup,
    /// A file cannot be read: it is not there, or not any more.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file holds something else than the kernel writes.
    #[error("{} holds no number that a control group would write", file.display())]
    Garbage {
        /// Which one.
        file: PathBuf,
    },
}
