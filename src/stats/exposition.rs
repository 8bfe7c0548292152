//! The text formats of Prometheus (0.0.4) and `OpenMetrics` (1.0).

use std::fmt::{self, Write};

use crate::stats::Buckets;
use crate::time::NS_PER_SECOND;

/// The type of a family of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that may fall.
    Gauge,
    /// Counts of durations by bounds.
    Histogram,
    /// Text in labels.
    Info,
}

/// A value of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A count.
    Count(u64),
    /// A duration or a time since the Unix epoch, shown in seconds.
    Nanoseconds(i64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Nanoseconds(ns) => {
                let sign = if ns < 0 { "-" } else { "" };
                write_seconds(f, sign, ns.unsigned_abs())
            }
        }
    }
}

/// Writes seconds with all nine decimals, so that a sum stays exact.
fn write_seconds(out: &mut impl Write, sign: &str, ns: u64) -> fmt::Result {
    let second = NS_PER_SECOND.unsigned_abs();
    write!(out, "{sign}{}.{:09}", ns / second, ns % second)
}

/// The labels of a sample, escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(String);

impl Labels {
    /// Creates labels; names are valid, values any text.
    #[must_use]
    pub fn new<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all = Self::default();
        for (name, value) in labels {
            all.add(name, value);
        }
        all
    }

    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                _ => self.0.push(character),
            }
        }
        self.0.push('"');
    }

    /// Returns these labels and others, whose names differ.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let separator = if self.0.is_empty() || others.0.is_empty() { "" } else { "," };
        Self([&self.0, separator, &others.0].concat())
    }

    /// Returns these labels and another one.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut all = self.clone();
        all.add(name, value);
        all
    }
}

/// A page of metrics. All samples of a family follow its head.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    open_metrics: bool,
    /// The name of the current family's samples.
    name: String,
    bounds: Vec<String>,
}

impl Exposition {
    /// Creates an empty page, of `OpenMetrics` or else of Prometheus.
    #[must_use]
    pub fn new(open_metrics: bool) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "bounds have few digits")]
        let bounds = Buckets::bounds_ns().map(|ns| (ns as f64 / 1e9).to_string());
        let (text, name) = (String::new(), String::new());
        Self { text, open_metrics, name, bounds: bounds.collect() }
    }

    /// Begins a family. Its `name` has no suffix of its kind, and ends in `_seconds` if that is its
    /// unit.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let (suffix, word, plain) = match kind {
            Kind::Counter => ("_total", "counter", "counter"),
            Kind::Gauge => ("", "gauge", "gauge"),
            Kind::Histogram => ("", "histogram", "histogram"),
            Kind::Info => ("_info", "info", "gauge"),
        };
        self.name = format!("{name}{suffix}");
        // `OpenMetrics` leaves suffixes out.
        let (family, word) =
            if self.open_metrics { (name, word) } else { (self.name.as_str(), plain) };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {word}");
        if self.open_metrics && name.ends_with("_seconds") {
            let _ = writeln!(self.text, "# UNIT {family} seconds");
        }
    }

    /// Adds a sample of a counter or gauge.
    pub fn sample(&mut self, labels: &Labels, value: Value) {
        let Self { text, name, .. } = self;
        let Labels(labels) = labels;
        let _ = if labels.is_empty() {
            writeln!(text, "{name} {value}")
        } else {
            writeln!(text, "{name}{{{labels}}} {value}")
        };
    }

    /// Adds the samples of a histogram, which has labels.
    pub fn histogram(&mut self, labels: &Labels, buckets: &Buckets) {
        let Self { text, name, bounds, .. } = self;
        let Labels(labels) = labels;
        let mut bucket = |bound: &str, count: u64| {
            // A dozen times as fast as one call of the formatter.
            for part in [name, "_bucket{", labels, ",le=\"", bound, "\"} "] {
                text.push_str(part);
            }
            let _ = writeln!(text, "{count}");
        };
        for (bound, count) in bounds.iter().zip(buckets.cumulative()) {
            bucket(bound, count);
        }
        bucket("+Inf", buckets.count());
        let _ = write!(text, "{name}_sum{{{labels}}} ");
        let _ = write_seconds(text, "", buckets.sum_ns());
        let _ = writeln!(text, "\n{name}_count{{{labels}}} {}", buckets.count());
    }

    /// Returns the page.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.open_metrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Distribution;

    fn page(open_metrics: bool) -> String {
        let mut page = Exposition::new(open_metrics);
        let labels = Labels::new([("name", "a\"b\\c\nd"), ("target", "é")]);
        page.family("probes", Kind::Counter, "Probes.");
        page.sample(&labels, Value::Count(3));
        page.family("last_seconds", Kind::Gauge, "When.");
        page.sample(&Labels::default(), Value::Nanoseconds(-1_500_000_000));
        page.family("build", Kind::Info, "What.");
        page.sample(&labels.and(&Labels::new([("more", "")])), Value::Count(1));
        page.finish()
    }

    #[test]
    fn a_page_of_prometheus() {
        let expected = "# HELP probes_total Probes.\n\
            # TYPE probes_total counter\n\
            probes_total{name=\"a\\\"b\\\\c\\nd\",target=\"é\"} 3\n\
            # HELP last_seconds When.\n\
            # TYPE last_seconds gauge\n\
            last_seconds -1.500000000\n\
            # HELP build_info What.\n\
            # TYPE build_info gauge\n\
            build_info{name=\"a\\\"b\\\\c\\nd\",target=\"é\",more=\"\"} 1\n";
        assert_eq!(page(false), expected);
    }

    #[test]
    fn a_page_of_open_metrics() {
        let expected = "# HELP probes Probes.\n\
            # TYPE probes counter\n\
            probes_total{name=\"a\\\"b\\\\c\\nd\",target=\"é\"} 3\n\
            # HELP last_seconds When.\n\
            # TYPE last_seconds gauge\n\
            # UNIT last_seconds seconds\n\
            last_seconds -1.500000000\n\
            # HELP build What.\n\
            # TYPE build info\n\
            build_info{name=\"a\\\"b\\\\c\\nd\",target=\"é\",more=\"\"} 1\n\
            # EOF\n";
        assert_eq!(page(true), expected);
    }

    #[test]
    fn a_histogram() {
        let mut durations = Distribution::default();
        for ns in [16_000, 20_000, 9_000_000_000] {
            durations.add(ns);
        }
        let mut page = Exposition::new(false);
        page.family("rtt_seconds", Kind::Histogram, "Times.");
        page.histogram(&Labels::new([("a", "b")]), &durations.buckets());
        let page = page.finish();
        for line in [
            "rtt_seconds_bucket{a=\"b\",le=\"0.000016\"} 1",
            "rtt_seconds_bucket{a=\"b\",le=\"0.000032\"} 2",
            "rtt_seconds_bucket{a=\"b\",le=\"8.388608\"} 2",
            "rtt_seconds_bucket{a=\"b\",le=\"+Inf\"} 3",
            "rtt_seconds_sum{a=\"b\"} 9.000036000",
            "rtt_seconds_count{a=\"b\"} 3",
        ] {
            assert!(page.lines().any(|each| each == line), "{line}\n{page}");
        }
    }
}
