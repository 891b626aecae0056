//! What a report comes to as an exit code.

use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    process::ExitCode,
    sync::Arc,
};

use super::Report;

/// The user's own code for a report, if there is one.
#[derive(Clone, Default)]
pub(crate) struct ExitCodes(Option<Map>);

type Map = Arc<dyn Fn(&Report) -> u8 + Send + Sync>;

// So that reports are: what it gives is a number, whatever it panicked at before.
impl UnwindSafe for ExitCodes {}
impl RefUnwindSafe for ExitCodes {}

impl ExitCodes {
    pub(crate) fn new(map: impl Fn(&Report) -> u8 + Send + Sync + 'static) -> Self {
        ExitCodes(Some(Arc::new(map)))
    }
}

impl fmt::Debug for ExitCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "the program's own" } else { "0 or 1" })
    }
}

impl Report {
    /// What the process should exit with: `0` if [`is_clean`](Self::is_clean), else `1`; or what the
    /// [program's own](crate::Builder::exit_code) function makes of it, which runs here.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit_status())
    }

    /// The same as a number.
    pub fn exit_status(&self) -> u8 {
        match &self.exit_code.0 {
            // Without it: the function may ask what it would be otherwise.
            Some(map) => map(&Report { exit_code: ExitCodes::default(), ..self.clone() }),
            None => self.plain_exit_status(),
        }
    }

    /// What it comes to without the program's own function.
    pub(crate) fn plain_exit_status(&self) -> u8 {
        u8::from(!self.is_clean())
    }

    pub(crate) fn has_own_exit_code(&self) -> bool {
        self.exit_code.0.is_some()
    }
}
