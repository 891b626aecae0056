//! The telling: an opening line, a timeline, a table, a verdict. Colours only where somebody looks at them:
//! on a terminal, and not if `NO_COLOR` is set. With `--json`, one object instead and nothing else on stdout.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::promises::Verdict;
use crate::summary::{Exit, Jobs, Row, Summary, seconds, short};
use crate::timeline::{Moment, Weight};

/// Breaches of one promise that are shown; the rest is counted.
const SHOWN: usize = 6;

/// The length of the bar that stands for the grace.
const BAR: usize = 84;

/// What a stretch of text looks like.
#[derive(Clone, Copy)]
enum Look {
    Strong,
    Dim,
    Good,
    Bad,
    Time,
}

/// Paints, or leaves as it is.
#[derive(Clone, Copy)]
struct Paint {
    coloured: bool,
}

impl Paint {
    fn for_stdout() -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { coloured: wanted && io::stdout().is_terminal() }
    }

    fn text(self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Strong => "1",
            Look::Dim => "2",
            Look::Good => "32",
            Look::Bad => "1;31",
            Look::Time => "36",
        };
        match self.coloured {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// Says what will happen, before anything does.
pub fn open(options: &Options) {
    if options.json {
        return;
    }
    let paint = Paint::for_stdout();
    let (runtime, grace, threads) = (&options.runtime, short(options.grace), options.threads);
    let workers = if threads == 1 { "one worker thread".into() } else { format!("{threads} worker threads") };
    say!();
    say!("{}", paint.text(Look::Strong, "A rehearsal of the end"));
    say!("A real service ({runtime}, {workers}), a monitor and a crowd of clients. In a second the service");
    say!(
        "gets a SIGTERM and has {grace} to finish, hand over, answer everyone and leave. (seed {})",
        options.seed
    );
    say!();
}

/// Tells how it went.
pub fn tell(summary: &Summary, options: &Options, folder: &Path) {
    if options.json {
        match serde_json::to_string_pretty(summary) {
            Ok(json) => say!("{json}"),
            Err(error) => eprintln!("rehearsal: cannot write the summary: {error}"),
        }
    } else {
        let paint = Paint::for_stdout();
        timeline(&summary.timeline, paint);
        bar(&summary.exit, paint);
        table(&summary.clients, paint);
        jobs(&summary.jobs);
        notes(&summary.notes, paint);
        if options.verbose {
            report(&summary.report, paint);
        }
        verdict(summary, paint);
    }
    if !summary.held {
        eprintln!("job log and report of the service are kept in {}", folder.display());
    }
}

fn timeline(moments: &[Moment], paint: Paint) {
    say!("{}", paint.text(Look::Strong, "What happened, in seconds from the signal"));
    for Moment { at, until, what, weight } in moments {
        let time = match until - at < 0.01 {
            true => seconds(*at),
            false => format!("{} … {}", seconds(*at), seconds(*until)),
        };
        let time = format!("{time:>15}");
        let (time_look, what) = match weight {
            Weight::Turn => (Look::Time, paint.text(Look::Strong, what)),
            Weight::Event => (Look::Time, what.clone()),
            Weight::Bound => (Look::Dim, paint.text(Look::Dim, what)),
        };
        say!("{}   {what}", paint.text(time_look, &time));
    }
    say!();
}

/// The grace as a bar: what it was used for, and what was left.
fn bar(exit: &Exit, paint: Paint) {
    let left = exit.left.min(exit.grace);
    let drained = exit.handed_over.unwrap_or(left).clamp(0.0, left);
    let answered = exit.answered.unwrap_or(drained).clamp(drained, left);
    let column = |time: f64| (time / exit.grace * BAR as f64).round() as usize;
    let stretch = |glyph: &str, from: f64, to: f64| glyph.repeat(column(to) - column(from));
    say!(
        "  ├{}{}{}{}┤",
        paint.text(Look::Time, &stretch("━", 0.0, drained)),
        paint.text(Look::Strong, &stretch("█", drained, answered)),
        paint.text(Look::Time, &stretch("▒", answered, left)),
        paint.text(Look::Dim, &stretch("·", left, exit.grace)),
    );
    let parts = [
        ("━ drain", drained),
        ("█ hand over, answer", answered - drained),
        ("▒ leave", left - answered),
        ("· unused", exit.unused),
    ];
    let legend: Vec<_> = parts.iter().map(|(name, time)| format!("{name} {time:.2}")).collect();
    say!("   {}\n", legend.join("    "));
}

fn table(rows: &[Row], paint: Paint) {
    say!("{}", paint.text(Look::Strong, "What the clients got"));
    let titles = ["asked", "done", "handed", "503", "cut", "no way", "closed", "other", "last"];
    say!("  {}", paint.text(Look::Dim, &line("", &titles.map(str::to_owned))));
    say!(
        "  {}",
        paint.text(Look::Dim, &line("", &["", "", "over", "", "", "in", "", "", "at"].map(str::to_owned)))
    );
    for row in rows {
        say!("  {}", line(row.who, &cells(row)));
    }
    say!();
}

fn cells(row: &Row) -> [String; 9] {
    let Row { counts, last, .. } = row;
    let number = |count: usize| if count == 0 { "·".to_owned() } else { count.to_string() };
    [
        number(counts.requests),
        number(counts.done),
        number(counts.handed_over),
        number(counts.refused),
        number(counts.cut),
        number(counts.no_way_in),
        number(counts.closed),
        number(counts.other),
        last.map(seconds).unwrap_or_default(),
    ]
}

fn line(who: &str, cells: &[String; 9]) -> String {
    cells.iter().fold(format!("{who:<26}"), |line, cell| line + &format!("{cell:>8}"))
}

fn jobs(jobs: &Jobs) {
    let Jobs { started, completed, handed_over, unacknowledged, in_doubt, lost } = jobs;
    let mut text = format!("{started} jobs were begun: {completed} completed, {handed_over} handed over");
    for (count, name) in [(unacknowledged, "unacknowledged"), (in_doubt, "in doubt"), (lost, "LOST")] {
        if *count > 0 {
            text += &format!(", {count} {name}");
        }
    }
    say!("{text}.\n");
}

fn notes(notes: &[String], paint: Paint) {
    if notes.is_empty() {
        return;
    }
    say!("{}", paint.text(Look::Strong, "Not as written, but no breach"));
    for note in notes {
        say!("  - {note}");
    }
    say!();
}

fn report(report: &str, paint: Paint) {
    say!("{}", paint.text(Look::Strong, "What the service says of itself"));
    for line in report.lines() {
        say!("    {line}");
    }
    say!();
}

fn verdict(summary: &Summary, paint: Paint) {
    say!("{}", paint.text(Look::Strong, "The promises, seen from the outside"));
    for Verdict { number, name, holds, detail, breaches } in &summary.promises {
        let (mark, look) = if *holds { ("✓", Look::Good) } else { ("✗", Look::Bad) };
        say!("  {} {number:>2} {name:<37} {}", paint.text(look, mark), paint.text(Look::Dim, detail));
        for breach in breaches.iter().take(SHOWN) {
            say!("         {}", paint.text(Look::Bad, breach));
        }
        if breaches.len() > SHOWN {
            say!("         and {} more", breaches.len() - SHOWN);
        }
    }
    say!();
    let broken: Vec<_> = summary.promises.iter().filter(|verdict| !verdict.holds).collect();
    match broken.len() {
        0 => say!("{}", paint.text(Look::Good, "Every promise held.")),
        _ => {
            let names: Vec<_> = broken.iter().map(|v| format!("{} ({})", v.number, v.name)).collect();
            say!("{}", paint.text(Look::Bad, &format!("Broken: {}.", names.join(", "))));
        }
    }
}

/// A line that lives while the play is on, so that nobody stares at nothing; on a terminal only.
pub struct Ticker {
    shown: bool,
    signal_at: Instant,
    grace: Duration,
    next: Instant,
}

impl Ticker {
    const EVERY: Duration = Duration::from_millis(100);

    pub fn new(options: &Options, signal_at: Instant) -> Self {
        let shown = !options.json && io::stdout().is_terminal();
        Self { shown, signal_at, grace: options.grace, next: Instant::now() }
    }

    pub fn tick(&mut self) {
        let now = Instant::now();
        if !self.shown || now < self.next {
            return;
        }
        self.next = now + Self::EVERY;
        let line = match now.checked_duration_since(self.signal_at) {
            None => "the crowd gathers".to_owned(),
            Some(gone) => {
                let left = self.grace.saturating_sub(gone).as_secs_f64();
                format!("SIGTERM was {:.1} s ago, {left:.1} s of the grace left", gone.as_secs_f64())
            }
        };
        self.show(&line);
    }

    pub fn clear(&mut self) {
        if self.shown {
            self.show("");
        }
    }

    fn show(&self, line: &str) {
        let _ = write!(io::stdout(), "\r\x1b[K{line}");
        // A terminal that went away is no reason to stop the play.
        let _ = io::stdout().flush();
    }
}
