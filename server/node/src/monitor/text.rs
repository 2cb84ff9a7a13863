//! The text format of Prometheus.

use std::fmt::{Display, Write as _};

/// A page of metrics.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A metric that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.begin(name, help, "gauge")
    }

    /// A metric that only grows.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.begin(name, help, "counter")
    }

    /// Durations by upper bound in microseconds, the last without bound, and their sum.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        bounds_us: &[u64],
        counts: &[u64],
        sum_us: u64,
    ) {
        drop(self.begin(name, help, "histogram"));
        let mut below = 0;
        for (at, count) in counts.iter().enumerate() {
            below += count;
            let bound = bounds_us
                .get(at)
                .map_or_else(|| "+Inf".to_owned(), |us| seconds(*us));
            self.put(&format!("{name}_bucket{{le=\"{bound}\"}} {below}"));
        }
        self.put(&format!("{name}_sum {}", seconds(sum_us)));
        self.put(&format!("{name}_count {below}"));
    }

    /// The whole page.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn begin(&mut self, name: &str, help: &str, kind: &str) -> Samples<'_> {
        self.put(&format!("# HELP {name} {help}"));
        self.put(&format!("# TYPE {name} {kind}"));
        Samples {
            page: self,
            name: name.to_owned(),
        }
    }

    fn put(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// The samples of one metric.
#[derive(Debug)]
pub(super) struct Samples<'p> {
    page: &'p mut Page,
    name: String,
}

impl Samples<'_> {
    /// The only sample.
    pub(super) fn value(self, value: impl Display) {
        let line = format!("{} {value}", self.name);
        self.page.put(&line);
    }

    /// A sample with labels.
    pub(super) fn with(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let mut line = self.name.clone();
        for (at, (name, text)) in labels.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(
                line,
                "{}{name}=\"{}\"",
                if at == 0 { '{' } else { ',' },
                escape(text)
            );
        }
        let _ = write!(line, "}} {value}");
        self.page.put(&line);
    }
}

/// Microseconds as seconds.
pub(super) fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Milliseconds as seconds.
pub(super) fn seconds_of_ms(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.gauge("a", "An a.").value(1);
        page.counter("b_total", "Bs.")
            .with(&[("x", "q\"\\"), ("y", "2")], 7);
        page.histogram(
            "h_seconds",
            "Hs.",
            &[1_000, 2_000_000],
            &[1, 2, 3],
            1_500_000,
        );
        let expected = "# HELP a An a.\n# TYPE a gauge\na 1\n\
            # HELP b_total Bs.\n# TYPE b_total counter\nb_total{x=\"q\\\"\\\\\",y=\"2\"} 7\n\
            # HELP h_seconds Hs.\n# TYPE h_seconds histogram\n\
            h_seconds_bucket{le=\"0.001000\"} 1\nh_seconds_bucket{le=\"2.000000\"} 3\n\
            h_seconds_bucket{le=\"+Inf\"} 6\nh_seconds_sum 1.500000\nh_seconds_count 6\n";
        assert_eq!(page.finish(), expected);
    }
}
