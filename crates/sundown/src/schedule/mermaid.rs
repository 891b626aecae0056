//! The schedule as a picture: a [flowchart](https://mermaid.js.org/syntax/flowchart.html), since that shows who waits for
//! whom; the moments are in the boxes.

use std::fmt::Write;

use super::{ComponentSchedule, Schedule, StepSchedule};
use crate::report::Short;

impl Schedule {
    /// The same as a Mermaid flowchart: a box for each component and each reserve with its latest start and finish, a
    /// frame for each phase, and an arrow from whoever is waited for.
    pub fn mermaid(&self) -> String {
        let mut chart = Chart::default();
        chart.line("flowchart LR");
        chart.line("    begin([\"begin\"])");
        for (at, phase) in self.phases.iter().enumerate() {
            chart.line(&format!("    subgraph p{at} [\"{}\"]", step(phase)));
            self.boxes(&mut chart, Some(&phase.name), "        ");
            chart.line("    end");
        }
        self.boxes(&mut chart, None, "    ");
        for (at, reserve) in self.reserves.iter().enumerate() {
            chart.line(&format!("    r{at}[\"{}\"]", step(reserve)));
        }
        self.arrows(&mut chart);
        chart.0
    }

    fn boxes(&self, chart: &mut Chart, phase: Option<&str>, indent: &str) {
        for (at, it) in self.components.iter().enumerate().filter(|(_, it)| it.phase.as_deref() == phase) {
            chart.line(&format!("{indent}c{at}[\"{}\"]", component(it)));
        }
    }

    /// An arrow for each name that a component comes after; those of a phase are one arrow, from frame to frame.
    fn arrows(&self, chart: &mut Chart) {
        let place = |name: &String| self.components.iter().position(|it| it.name == *name);
        let mut waited_for = vec![false; self.components.len()];
        for (at, it) in self.components.iter().enumerate() {
            for before in it.after.iter().filter_map(place) {
                waited_for[before] = true;
                chart.arrow(&format!("c{before}"), &format!("c{at}"));
            }
            if it.after.is_empty() && it.phase.is_none() {
                chart.arrow("begin", &format!("c{at}"));
            }
        }
        let phases: Vec<_> = (0..self.phases.len()).map(|at| format!("p{at}")).collect();
        let from = std::iter::once("begin").chain(phases.iter().map(String::as_str));
        let to = phases.iter().map(String::as_str);
        from.zip(to).for_each(|(from, to)| chart.arrow(from, to));
        if let Some(last) = phases.last() {
            chart.arrow(last, "r0");
        }
        for (at, it) in self.components.iter().enumerate() {
            if it.phase.is_none() && !waited_for[at] {
                chart.arrow(&format!("c{at}"), "r0");
            }
        }
        if self.components.is_empty() {
            chart.arrow("begin", "r0");
        }
        (1..self.reserves.len()).for_each(|at| chart.arrow(&format!("r{}", at - 1), &format!("r{at}")));
    }
}

#[derive(Default)]
struct Chart(String);

impl Chart {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn arrow(&mut self, from: &str, to: &str) {
        self.line(&format!("    {from} --> {to}"));
    }
}

fn step(it: &StepSchedule) -> String {
    format!("{}<br/>{} to {}", escaped(&it.name), Short(it.latest_start), Short(it.latest_finish))
}

fn component(it: &ComponentSchedule) -> String {
    let moments = format!("{} to {}", Short(it.latest_start), Short(it.latest_finish));
    let within = it.within.map_or_else(String::new, |(length, overdue)| {
        format!("<br/>within {}, then {}", Short(length), overdue.done())
    });
    format!("{}<br/>{moments}{within}", escaped(&it.name))
}

/// A name as text between quotes: whatever could be syntax is written as its
/// [code](https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters).
fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, letter| {
        let plain = letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_' | '.' | ',' | '/');
        let _ = if plain { write!(text, "{letter}") } else { write!(text, "#{};", u32::from(letter)) };
        text
    })
}
