//! The one table, as markdown, row by row as it is measured.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;

const HEAD: &str = "| measure | Redis | Tandem | Tandem / Redis | better | ratio of each pair | \
    server CPU us per command: Redis, Tandem, ratio | \
    by redis-benchmark: Redis, Tandem, ratio |\n|---|--:|--:|--:|---|---|---|---|";
/// Longest reason that is told in a cell; all of it is on the error output.
const REASON_CHARS_MAX: usize = 200;

/// What the ratio should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Above 1.
    Higher,
    /// Below 1.
    Lower,
}

/// One row: the same measure of both, pair by pair.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured, with its unit.
    pub measure: String,
    /// What the ratio should be.
    pub better: Better,
    /// Redis' and Tandem's figure in each round.
    pub pairs: Vec<(f64, f64)>,
    /// Processor microseconds per command of the server in each round, where that was measured.
    pub cpu_us: Vec<(f64, f64)>,
    /// The same as `pairs` by redis-benchmark, where it was asked.
    pub reference: Vec<(f64, f64)>,
}

/// All rows, in the order measured, and what could not be measured.
#[derive(Debug, Default)]
pub struct Table {
    lines: Vec<String>,
    is_shown: bool,
}

impl Table {
    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        self.push(row.line());
    }

    /// Adds a row for what could not be measured.
    pub fn add_not_available(&mut self, measure: &str, error: &anyhow::Error) {
        self.push(format!(
            "| {measure} | | {} | | | | | |",
            not_available(error)
        ));
    }

    /// Adds a row for each of `measures`: the figures of Redis and of Tandem, in that order, of
    /// each round. Of a side that failed it tells the reason, and still shows the other.
    pub fn add_measured(
        &mut self,
        better: Better,
        measures: &[String],
        rounds: &[[Result<Vec<f64>>; 2]],
    ) {
        for (index, measure) in measures.iter().enumerate() {
            let figures = |side: usize| {
                let of_round =
                    |round: &[Result<Vec<f64>>; 2]| Some(round[side].as_ref().ok()?[index]);
                rounds.iter().filter_map(of_round).collect::<Vec<f64>>()
            };
            let sides = [figures(0), figures(1)];
            if sides.iter().all(|side| side.len() == rounds.len()) {
                let [redis, tandem] = sides;
                self.add(&Row {
                    measure: measure.clone(),
                    better,
                    pairs: redis.into_iter().zip(tandem).collect(),
                    cpu_us: Vec::new(),
                    reference: Vec::new(),
                });
                continue;
            }
            let shown = [0, 1].map(|side| {
                let error = rounds.iter().find_map(|round| round[side].as_ref().err());
                match error {
                    Some(error) => not_available(error),
                    None => figure(median(sides[side].iter().copied())),
                }
            });
            self.push(format!(
                "| {measure} | {} | {} | | | | | |",
                shown[0], shown[1]
            ));
        }
    }

    /// Adds a row for each of `measures` that Redis has nothing like, from the figures of each round.
    pub fn add_own(&mut self, measures: &[String], rounds: &[Result<Vec<f64>>]) {
        let failed = rounds.iter().find_map(|round| round.as_ref().err());
        let reason = failed.map(not_available);
        for (index, measure) in measures.iter().enumerate() {
            let shown = reason.clone().unwrap_or_else(|| {
                figure(median(rounds.iter().flatten().map(|round| round[index])))
            });
            self.push(format!("| {measure} | | {shown} | | | | | |"));
        }
    }

    /// Shows the head of the table; each row follows as soon as it is there.
    pub fn begin(&mut self) {
        self.is_shown = true;
        show(HEAD);
    }

    fn push(&mut self, line: String) {
        if self.is_shown {
            show(&line);
        }
        self.lines.push(line);
    }

    /// Gives the table.
    pub fn markdown(&self) -> String {
        let mut out = format!("{HEAD}\n");
        for line in &self.lines {
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}

impl Row {
    fn line(&self) -> String {
        let (redis, tandem, ratio) = medians(&self.pairs);
        let better = match self.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        };
        let mut each = String::new();
        for (redis, tandem) in &self.pairs {
            let space = if each.is_empty() { "" } else { " " };
            // Writing to a string cannot fail.
            write!(each, "{space}{:.2}", tandem / redis).ok();
        }
        let cpu = three(&self.cpu_us);
        let reference = three(&self.reference);
        let measure = &self.measure;
        let (redis, tandem) = (figure(redis), figure(tandem));
        format!(
            "| {measure} | {redis} | {tandem} | **{ratio:.2}** | {better} | {each} | {cpu} | \
             {reference} |"
        )
    }
}

/// Writes a line at once; a reader that has gone away is no reason to stop measuring.
fn show(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

/// Writes both sides and the ratio, nothing if there is nothing.
fn three(pairs: &[(f64, f64)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let (redis, tandem, ratio) = medians(pairs);
    format!("{}, {}, {ratio:.2}", figure(redis), figure(tandem))
}

fn not_available(error: &anyhow::Error) -> String {
    eprintln!("not available: {error:#}");
    let reason = format!("{error:#}")
        .replace(['\n', '\r'], " ")
        .replace('|', "/");
    match reason.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("not available: {}...", &reason[..end]),
        None => format!("not available: {reason}"),
    }
}

/// Gives the middle of each side, and the middle of the ratios pair by pair.
fn medians(pairs: &[(f64, f64)]) -> (f64, f64, f64) {
    (
        median(pairs.iter().map(|pair| pair.0)),
        median(pairs.iter().map(|pair| pair.1)),
        median(pairs.iter().map(|pair| pair.1 / pair.0)),
    )
}

/// Gives the middle figure, the upper one of an even number; NaN of none.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Gives the figure that a share of all figures does not exceed; 0 of none.
pub fn percentile(figures: &mut [u32], share: f64) -> f64 {
    figures.sort_unstable();
    let last = figures.len().saturating_sub(1);
    let at = (figures.len() as f64 * share) as usize;
    figures.get(at.min(last)).copied().map_or(0.0, f64::from)
}

/// Writes a figure with the digits a reader needs.
fn figure(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 1e6 => format!("{:.2} M", value / 1e6),
        magnitude if magnitude >= 1e4 => format!("{:.1} k", value / 1e3),
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_shows_the_middle_pair() {
        let row = Row {
            measure: "SET".into(),
            better: Better::Higher,
            pairs: vec![
                (100_000.0, 150_000.0),
                (90_000.0, 180_000.0),
                (1.2e6, 1.2e6),
            ],
            cpu_us: vec![(2.0, 1.0)],
            reference: vec![(5.0, 10.0)],
        };
        assert_eq!(
            row.line(),
            "| SET | 100.0 k | 180.0 k | **1.50** | higher | 1.50 2.00 1.00 | \
             2.00, 1.00, 0.50 | 5.00, 10.0, 2.00 |"
        );
    }

    #[test]
    fn failed_side_tells_its_reason_beside_the_other() {
        let mut table = Table::default();
        let rounds = [[Ok(vec![20.0]), Err(anyhow::anyhow!("ERR a|b"))]];
        table.add_measured(Better::Lower, &["lag".into()], &rounds);
        assert_eq!(
            table.lines,
            ["| lag | 20.0 | not available: ERR a/b | | | | | |"]
        );
    }

    #[test]
    fn own_row_shows_the_middle_round() {
        let mut table = Table::default();
        let rounds = [3.0, 1.0, 2.0].map(|figure| Ok(vec![figure]));
        table.add_own(&["merge".into()], &rounds);
        assert_eq!(table.lines, ["| merge | | 2.00 | | | | | |"]);
    }

    #[test]
    fn percentile_is_a_figure_that_was_seen() {
        let mut figures: Vec<u32> = (1..=100).rev().collect();
        assert!((percentile(&mut figures, 0.5) - 51.0).abs() < 1e-9);
        assert!((percentile(&mut figures, 0.99) - 100.0).abs() < 1e-9);
        assert!(percentile(&mut [], 0.5).abs() < 1e-9);
    }
}
