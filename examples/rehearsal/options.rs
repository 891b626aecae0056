//! What the command line may ask for. Everything has a default: a rehearsal without options is the normal
//! one.

use std::process::exit;
use std::time::Duration;

use lexopt::prelude::*;

use crate::Result;

const HELP: &str = "\
A rehearsal of a graceful shutdown: real service, real clients, a real SIGTERM.

usage: cargo run --example rehearsal [-- OPTIONS]

  --grace SECONDS   time between SIGTERM and SIGKILL, 2 to 60 (default 5)
  --seed N          the same crowd again (default: a new one each time)
  --runtime NAME    which service_NAME example to rehearse (default tokio)
  --threads N       worker threads of the service, 1 or more (default 2)
  --json            one JSON object on stdout instead of the story
  --verbose         show the service's own report as well

The environment variable SERVICE names a service binary to use instead of building the example.
The exit code is 0 if every promise held, 1 if one broke, 2 if the rehearsal could not take place.";

/// Below this the reserves of the timeline shrink, and the times that clients are given here stop making
/// sense.
const SHORTEST: f64 = 2.0;
const LONGEST: f64 = 60.0;

pub struct Options {
    pub grace: Duration,
    pub seed: u64,
    pub runtime: String,
    pub threads: usize,
    pub json: bool,
    pub verbose: bool,
}

impl Options {
    pub fn from_args() -> Result<Self> {
        Self::parse(lexopt::Parser::from_env())
    }

    fn parse(mut args: lexopt::Parser) -> Result<Self> {
        let mut options = Self {
            grace: Duration::from_secs(5),
            seed: fastrand::u64(1..1_000_000),
            runtime: "tokio".into(),
            threads: 2,
            json: false,
            verbose: false,
        };
        while let Some(arg) = args.next()? {
            match arg {
                Long("grace") => options.grace = grace(number("--grace", &mut args)?)?,
                Long("seed") => options.seed = number("--seed", &mut args)?,
                Long("runtime") => options.runtime = args.value()?.string()?,
                Long("threads") => options.threads = threads(number("--threads", &mut args)?)?,
                Long("json") => options.json = true,
                Long("verbose") | Short('v') => options.verbose = true,
                Long("help") | Short('h') => {
                    say!("{HELP}");
                    exit(0);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(option: &str, args: &mut lexopt::Parser) -> Result<T> {
    let text = args.value()?.string()?;
    text.parse().map_err(|_| format!("{option} {text}: that is no number it can be").into())
}

fn grace(seconds: f64) -> Result<Duration> {
    if (SHORTEST..=LONGEST).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(format!("--grace is {seconds} s, but must lie between {SHORTEST} and {LONGEST} s").into())
}

fn threads(count: usize) -> Result<usize> {
    match count {
        0 => Err("--threads is 0, but the service needs at least one".into()),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(lexopt::Parser::from_args(args))
    }

    #[test]
    fn a_rehearsal_without_options_has_five_seconds() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.grace, Duration::from_secs(5));
        assert_eq!(options.runtime, "tokio");
    }

    #[test]
    fn a_grace_out_of_range_is_named_with_its_number() {
        let error = parse(&["--grace", "0.5"]).err().unwrap().to_string();
        assert!(error.contains("0.5"), "{error}");
        assert!(parse(&["--grace", "NaN"]).is_err());
    }
}
